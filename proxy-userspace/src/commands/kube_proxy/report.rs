//! The printed report: a line for each object that is removed, kept or added.

use std::fmt;

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Removed,
    Kept,
    Added,
}

/// What a cleanup has done, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanupReport {
    lines: Vec<(Fate, &'static str, String)>,
    is_dry: bool,
}

impl CleanupReport {
    pub(super) fn new(is_dry: bool) -> Self {
        Self { lines: Vec::new(), is_dry }
    }

    pub(super) fn add(&mut self, fate: Fate, kind: &'static str, what: String) {
        self.lines.push((fate, kind, what));
    }

    fn verb(&self, fate: Fate) -> &'static str {
        match (fate, self.is_dry) {
            (Fate::Removed, false) => "removed",
            (Fate::Removed, true) => "would remove",
            (Fate::Kept, false) => "kept",
            (Fate::Kept, true) => "would keep",
            (Fate::Added, false) => "added",
            (Fate::Added, true) => "would add",
        }
    }
}

impl fmt::Display for CleanupReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return f.write_str("nothing of kube-proxy to remove");
        }
        let verbs = self.lines.iter().map(|(fate, ..)| self.verb(*fate).len()).max().unwrap_or_default();
        let kinds = self.lines.iter().map(|(_, kind, _)| kind.len()).max().unwrap_or_default();
        for (index, (fate, kind, what)) in self.lines.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{:verbs$}   {kind:kinds$}   {what}", self.verb(*fate))?;
        }
        Ok(())
    }
}

/// Formats a number with its noun, in the plural unless it is 1.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(is_dry: bool) -> String {
        let mut report = CleanupReport::new(is_dry);
        report.add(Fate::Removed, "nftables", "table ip kube-proxy".into());
        report.add(Fate::Kept, "ipset", count(1, "set"));
        report.to_string()
    }

    #[test]
    fn lines_are_aligned() {
        assert_eq!(report(false), "removed   nftables   table ip kube-proxy\nkept      ipset      1 set");
        assert_eq!(report(true), "would remove   nftables   table ip kube-proxy\nwould keep     ipset      1 set");
        assert_eq!(CleanupReport::new(false).to_string(), "nothing of kube-proxy to remove");
    }
}
