//! Network namespaces by name (`ip netns`, so that people can look inside), and work inside them.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use nix::sched::{CloneFlags, setns};

use super::{
    error::{Error, Result, WithContext},
    mounts::is_mounted,
    spawn::{Join, spawn},
};

/// Where named namespaces are mounted.
const FOLDER: &str = "/run/netns";

/// Settings of every namespace of a lab. Addresses are usable at once, neighbours get no needless requests, and packets may come
/// back by another way than they went.
const SETTINGS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    // No limit on ICMP errors, since tests provoke many within a second.
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv6/icmp/ratelimit", "0"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/forwarding", "1"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
];

/// An open network namespace.
#[derive(Clone, Debug)]
pub struct Netns {
    name: String,
    descriptor: Arc<OwnedFd>,
}

impl Netns {
    /// Makes the namespace and its settings. It lives until [`remove`] or the removal of its lab.
    pub(super) fn create(name: &str) -> Result<Self> {
        batch(&[format!("netns add {name}")])?;
        let netns = Self::open(name)?;
        netns.inside(|| {
            SETTINGS.iter().try_for_each(|(key, value)| {
                fs::write(format!("/proc/sys/net/{key}"), value)
                    .with_context(|| format!("set {key} in namespace {name}"))
            })
        })??;
        netns.batch(&["link set lo up".into()])?;
        Ok(netns)
    }

    /// Opens a namespace that exists already.
    pub fn open(name: &str) -> Result<Self> {
        let file = File::open(Path::new(FOLDER).join(name)).with_context(|| format!("open namespace {name}"))?;
        Ok(Self { name: name.to_owned(), descriptor: Arc::new(file.into()) })
    }

    /// The namespace's name for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The open namespace.
    pub fn descriptor(&self) -> &Arc<OwnedFd> {
        &self.descriptor
    }

    /// Runs `work` inside the namespace, on a thread of its own. Sockets made there stay in the namespace.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| setns(&self.descriptor, CloneFlags::CLONE_NEWNET).map(|()| work()));
            match thread.join() {
                Ok(outcome) => outcome.with_context(|| format!("enter namespace {}", self.name)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Runs `ip` commands inside the namespace, in one process.
    pub fn batch(&self, commands: &[String]) -> Result<()> {
        let join = Join { netns: Arc::clone(&self.descriptor), cgroup: None };
        run(commands, &["-batch", "-"], |command| spawn(command, join))
    }

    /// Loads nftables rules inside the namespace, all or none, in the language of nft(8).
    pub fn load_rules(&self, rules: &str) -> Result<()> {
        let join = Join { netns: Arc::clone(&self.descriptor), cgroup: None };
        let mut command = Command::new("nft");
        command.args(["-f", "-"]);
        feed(command, rules, |command| spawn(command, join))
    }
}

/// Runs `ip` commands in the test's own namespace, in one process.
pub(super) fn batch(commands: &[String]) -> Result<()> {
    run(commands, &["-batch", "-"], |mut command| command.spawn())
}

/// Makes the folder of named namespaces, if it is missing, by adding and removing one: the first `ip netns add` mounts
/// the folder, and two at the same time would hide each other's.
pub(super) fn make_folder(name: &str) -> Result<()> {
    if is_mounted(FOLDER)? {
        return Ok(());
    }
    batch(&[format!("netns add {name}"), format!("netns del {name}")])
}

/// The names of all namespaces that begin with `prefix`.
pub(super) fn list(prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.starts_with(prefix)).collect()
}

/// Removes every namespace that begins with `prefix`, and with them their devices.
pub(super) fn remove(prefix: &str) -> Result<()> {
    let commands: Vec<_> = list(prefix).iter().map(|name| format!("netns del {name}")).collect();
    if commands.is_empty() {
        return Ok(());
    }
    let outcome = run(&commands, &["-force", "-batch", "-"], |mut command| command.spawn());
    // Another process may have removed some of them at the same time.
    if list(prefix).is_empty() { Ok(()) } else { outcome }
}

/// Feeds `commands` to one `ip` process.
fn run(
    commands: &[String],
    arguments: &[&str],
    start: impl FnOnce(Command) -> io::Result<std::process::Child>,
) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments);
    feed(command, &commands.join("\n"), start)
}

/// Starts a program and writes `text` to it; the program must end successfully.
fn feed(
    mut command: Command,
    text: &str,
    start: impl FnOnce(Command) -> io::Result<std::process::Child>,
) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let run = || {
        let mut child = start(command)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(text.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = run().with_context(|| format!("run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Command { command: format!("{program} with\n{text}\n"), stderr })
}
