//! Processes of the cluster. Each has its machine's namespaces and control group and a log, and keeps running when this process
//! has ended.

use std::{
    fs::{self, OpenOptions},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cgroups, command,
    families::Host,
    folders::{log, state},
    members::Members,
    network::namespace_file,
};

/// How long a process may take to be ready.
const WAIT_LIMIT: Duration = Duration::from_mins(2);

/// The files that name a node's mount and UTS namespaces.
pub fn namespaces(host: Host) -> Option<[PathBuf; 2]> {
    (host != Host::Control).then(|| ["mnt", "uts"].map(|kind| state("ns").join(format!("{}-{kind}", host.name()))))
}

/// A program on a machine, in its namespaces and in `group` of its control group.
pub fn on(host: Host, group: &str, program: impl AsRef<Path>) -> Result<Command> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace_file(&host.name())));
    if let Some([mount, uts]) = namespaces(host) {
        command.arg(format!("--mount={}", mount.display())).arg(format!("--uts={}", uts.display()));
    }
    // The shell moves itself into the group, and becomes the program.
    let procs = cgroups::unified(host, group)?.join("cgroup.procs");
    command.args(["sh", "-c", "echo 0 >\"$0\" && exec \"$@\""]).arg(procs).arg(program.as_ref());
    Ok(command)
}

/// Starts `program` on `host`; its log is named `name`.
pub fn start(host: Host, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
    let path = log(name);
    // A program that is started again appends to its log.
    let output = OpenOptions::new().append(true).create(true).open(&path);
    let output = output.with_context(|| format!("create {}", path.display()))?;
    let errors = output.try_clone().with_context(|| format!("open {} again", path.display()))?;
    let mut command = on(host, "system", program)?;
    command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
    let child = command.spawn().with_context(|| format!("start {name}"))?;
    let note = state("processes").join(name);
    fs::write(&note, child.id().to_string()).with_context(|| format!("write {}", note.display()))
}

/// Ends the process that was started as `name`, and waits until it has ended.
pub fn stop(name: &str) -> Result<()> {
    let process = Process::all()?.into_iter().find(|process| process.name == name);
    let process = process.with_context(|| format!("nothing has been started as {name}"))?;
    command::output(Command::new("kill").arg(process.pid.to_string()))?;
    let until = Instant::now() + WAIT_LIMIT;
    while process.runs() {
        if Instant::now() > until {
            bail!("{name} does not end");
        }
        thread::sleep(Duration::from_millis(50));
    }
    let note = state("processes").join(name);
    fs::remove_file(&note).with_context(|| format!("remove {}", note.display()))
}

/// Forgets the processes that were started on a machine.
pub fn forget(host: Host) -> Result<()> {
    let prefix = format!("{}-", host.name());
    Process::all()?.iter().filter(|process| process.name.starts_with(&prefix)).try_for_each(|process| {
        let note = state("processes").join(&process.name);
        fs::remove_file(&note).with_context(|| format!("remove {}", note.display()))
    })
}

/// A process that was started and should run.
pub struct Process {
    /// Its name, and that of its log.
    pub name: String,
    /// Its process id.
    pub pid: u32,
}

impl Process {
    /// All processes, by name.
    pub fn all() -> Result<Vec<Self>> {
        let folder = state("processes");
        let entries = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry?;
            let pid = fs::read_to_string(entry.path())?.parse().context("a process's note has no number")?;
            all.push(Self { name: entry.file_name().to_string_lossy().into_owned(), pid });
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Whether the process runs.
    pub fn runs(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The state follows the name in brackets (proc(5)).
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }

    /// Fails if the process has ended. The error has the last lines of its log.
    pub fn check(&self) -> Result<()> {
        if self.runs() {
            return Ok(());
        }
        let path = log(&self.name);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        bail!("{} has ended; the end of {}:\n{}", self.name, path.display(), last.join("\n"))
    }
}

/// Waits until a command succeeds, which shows that `what` is ready on a machine.
pub fn wait(host: Host, what: &str, mut asked: impl FnMut() -> Result<Command>) -> Result<()> {
    let until = Instant::now() + WAIT_LIMIT;
    loop {
        let answer = command::output(&mut asked()?);
        if answer.is_ok() {
            return Ok(());
        }
        check_all()?;
        if Instant::now() > until {
            return answer.map(drop).with_context(|| format!("{what} of {} is not ready", host.name()));
        }
        thread::sleep(Duration::from_millis(300));
    }
}

/// Fails if one of the processes has ended.
pub fn check_all() -> Result<()> {
    Process::all()?.iter().try_for_each(Process::check)
}

/// `cargo xtask cluster shell`: becomes a command on a machine.
pub fn shell(name: &str, command: &[String]) -> Result<ExitCode> {
    let members = Members::read()?;
    let host = Host::from_name(members, name)?;
    let (program, arguments) = command.split_first().map_or(("bash", &[][..]), |(first, rest)| (first.as_str(), rest));
    let error = on(host, "system", program)?.args(arguments).exec();
    Err(error).with_context(|| format!("start {program} on {name}"))
}
