//! The output for the reader: aligned plain text within 100 columns, coloured on a terminal.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use lab::BPFFS;

use crate::{cluster::Cluster, judge::Verdict, lines::Line};

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";

/// Standard output.
pub struct Screen {
    colours: bool,
}

impl Screen {
    /// With colours, unless stdout is no terminal or `NO_COLOR` is set (no-color.org).
    pub fn new() -> Self {
        Self { colours: io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    /// The first line.
    pub fn title(&self) {
        put(&format!("{} eBPF Service proxy: the bundled examples\n", self.paint(BOLD, "Waggle")));
    }

    /// A step that is done, with the time since the start.
    pub fn step(&self, elapsed: Duration, what: &str) {
        put(&format!("{} {what}\n", self.paint(DIM, &format!("{:5.2} s", elapsed.as_secs_f64()))));
    }

    /// A note.
    pub fn note(&self, what: &str) {
        put(&format!("\n{}\n", self.paint(DIM, what)));
    }

    /// The head of the table.
    pub fn head(&self) {
        put(&format!("\n{}\n", self.paint(BOLD, &row(" ", ["SERVICE", "KIND", "DIALLED", "ANSWERED BY", "CONNECT"]))));
    }

    /// A line of the table; what is wrong with it follows below.
    pub fn line(&self, line: &Line, verdict: &Verdict) {
        let connect = verdict.connect.map_or_else(|| "-".into(), |time| format!("{:.1} µs", time.as_secs_f64() * 1e6));
        let mark = if verdict.fault.is_none() { self.paint(GREEN, "✓") } else { self.paint(RED, "✗") };
        put(&format!("{}\n", row(&mark, [line.service, line.kind, line.dialled, &verdict.answered, &connect])));
        if let Some(fault) = &verdict.fault {
            put(&format!("  {}\n", self.paint(RED, fault)));
        }
    }

    /// The summary of the table.
    pub fn summary(&self, total: usize, faults: usize) {
        let text = match faults {
            0 => self.paint(GREEN, &format!("all {total} lines are as their examples say")),
            _ => self.paint(RED, &format!("{faults} of {total} lines are not as their examples say")),
        };
        put(&format!("\n{text}; CONNECT is the median of connect()\n"));
    }

    /// Where to look and what to try.
    pub fn hints(&self, cluster: &Cluster) {
        let (waggle, instance, pod) = (cluster.program().display(), cluster.instance(), cluster.pod());
        let hints = [
            ("edit or add a file here; it takes effect when saved", cluster.manifests().display().to_string()),
            ("what is in force", format!("{waggle} get services --instance {instance}")),
            ("the maps as the kernel has them", format!("bpftool map dump pinned {BPFFS}/{instance}/services")),
            (
                "a shell in the client pod",
                format!(
                    "sh -c 'echo $$ > {}/cgroup.procs; exec ip netns exec {} bash'",
                    pod.cgroup().display(),
                    pod.netns().name()
                ),
            ),
            ("a request from that shell", "exec 3<>/dev/tcp/10.96.0.10/80; echo hello >&3; head -1 <&3".into()),
        ];
        put(&format!("\n{}\n", self.paint(BOLD, "Look around, from another terminal:")));
        for (what, how) in hints {
            put(&format!("  {}\n    {how}\n", self.paint(DIM, what)));
        }
        put(&format!("\n{}\n", self.paint(BOLD, "Ctrl-C ends this and removes everything.")));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Writes at once. If the reader has gone, the demo still cleans up.
fn put(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Aligned cells within 100 columns.
fn row(mark: &str, [service, kind, dialled, answered, connect]: [&str; 5]) -> String {
    format!("{mark} {service:<7} {kind:<24} {dialled:<20} {answered:<32} {connect:>9}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::LINES;

    #[test]
    fn every_line_fits_100_columns() {
        for line in LINES {
            let row = row("✓", [line.service, line.kind, line.dialled, "web-1 100, web-2 100, web-3 100", "1234.5 µs"]);
            assert!(row.chars().count() <= 100, "{row}");
        }
    }
}
