//! The agent under test: the built `waggle` binary on a node.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use caps::{Capability, CapsHashSet};
use nix::sys::signal::Signal;

use super::{
    bpffs,
    error::{Result, WithContext},
    host::Host,
    log::{Log, LogLine},
    node::Node,
    process::Process,
    program,
    spawn::{contain, keep_capabilities},
};

/// How long an agent may take for anything that a test waits for, before it counts as hung. No result depends on it. The verifier
/// needs some two seconds of a processor for the programs of devices: four agents that started at once on two busy processors
/// have taken longer than 20 seconds.
pub const START: Duration = Duration::from_mins(3);

/// The log level of agents: the default, and lines when something was programmed, when programs were loaded, and for each step of
/// a succession.
const LOG_LEVEL: &str = "warn,kube_client=error,kube_runtime=error,proxy_userspace=info,proxy_userspace::agent=debug,\
                         proxy_userspace::attach::program_set=debug,proxy_userspace::succession=debug";

/// The source of an agent's objects.
#[derive(Clone, Debug)]
pub enum Source {
    /// A folder of manifests.
    Manifests(PathBuf),
    /// An API server.
    Kubeconfig(PathBuf),
    /// An API server, named by kube-proxy's configuration file.
    Configuration(PathBuf),
}

/// How an agent is started; see [`Node::waggle`].
#[derive(Clone, Debug)]
pub struct WaggleCommand {
    host: Host,
    instance: String,
    program: Option<PathBuf>,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    contained: bool,
    capabilities: Option<CapsHashSet>,
}

impl Node {
    /// An agent for this node, with its instance, cgroup and name. It logs JSON, a line each time that it has
    /// programmed something. More arguments can be added before it is started.
    pub fn waggle(&self, source: &Source) -> WaggleCommand {
        let instance = self.instance();
        let (flag, path) = match source {
            Source::Manifests(path) => ("--manifests", path),
            Source::Kubeconfig(path) => ("--kubeconfig", path),
            Source::Configuration(path) => ("--config", path),
        };
        let mut arguments: Vec<OsString> =
            ["run", "--log-format", "json", "--log-level", LOG_LEVEL].map(Into::into).to_vec();
        arguments.extend(["--instance".into(), instance.clone().into(), "--node-name".into(), self.name().into()]);
        arguments.extend(["--cgroup".into(), self.cgroup().into(), flag.into(), path.into()]);
        let (host, variables) = (Host::clone(self), Vec::new());
        WaggleCommand { host, instance, program: None, arguments, variables, contained: false, capabilities: None }
    }

    /// The name of the folder of pins of this node's agents.
    pub fn instance(&self) -> String {
        format!("{}-{}", self.core.id, self.name())
    }
}

impl WaggleCommand {
    /// Sets another program than that of `WAGGLE_BIN` or the built one.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets the ranges, comma-separated, that an agent of a folder allocates from, and the file that remembers
    /// allocations.
    #[must_use]
    pub fn allocating(self, service_cidrs: &str, state: impl Into<OsString>) -> Self {
        self.args(["--service-cidr", service_cidrs, "--allocations"]).args([state])
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Shows the agent what a container without privileges sees: `/proc/sys` is read-only, and network namespaces have no
    /// names.
    #[must_use]
    pub fn contained(mut self) -> Self {
        self.contained = true;
        self
    }

    /// Leaves the agent these capabilities only.
    #[must_use]
    pub fn capabilities(mut self, kept: impl IntoIterator<Item = Capability>) -> Self {
        self.capabilities = Some(kept.into_iter().collect());
        self
    }

    /// Starts the agent and waits until it serves: its first state is programmed, and every hook is in place.
    pub fn start(self) -> Result<Waggle> {
        let waggle = self.start_unready()?;
        waggle.wait_serving(0)?;
        Ok(waggle)
    }

    /// Starts the agent without waiting, for tests of what happens before it serves.
    pub fn start_unready(self) -> Result<Waggle> {
        let log = Log::default();
        let process = self.launch(&log)?;
        Ok(Waggle { command: self, process, log })
    }

    /// Whether the agent serves devices: only if the arguments name a flag for devices. Loading the programs for
    /// devices takes the kernel seconds, for which most scenarios need not wait.
    fn serves_devices(&self) -> bool {
        let speaks = |argument: &str| {
            ["--device", "--tc-attach", "--pod-interfaces"].iter().any(|flag| argument.starts_with(flag))
        };
        self.arguments.iter().any(|argument| argument.to_str().is_some_and(speaks))
    }

    fn launch(&self, log: &Log) -> Result<Process> {
        let program = match &self.program {
            Some(path) => path.clone(),
            None => program::find("waggle", "WAGGLE_BIN")?,
        };
        let mut command = Command::new(program);
        command.args(&self.arguments).envs(self.variables.iter().cloned());
        if !self.serves_devices() {
            command.args(["--device-mode", "off"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.contained {
            contain(&mut command);
        }
        if let Some(kept) = &self.capabilities {
            keep_capabilities(&mut command, kept)
                .map_err(io::Error::other)
                .with_context(|| "drop capabilities".to_owned())?;
        }
        let mut process = self.host.spawn(command)?;
        if let Some(pipe) = process.take_stdout() {
            log.follow(pipe);
        }
        if let Some(pipe) = process.take_stderr() {
            log.follow(pipe);
        }
        Ok(process)
    }
}

/// A started agent. When dropped it is killed and its pins are removed, which detaches its programs from the cgroup.
#[derive(Debug)]
pub struct Waggle {
    command: WaggleCommand,
    process: Process,
    log: Log,
}

impl Waggle {
    /// The agent's log, over all its starts.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The agent's process, for signals and waits.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The agent's folder of pins.
    pub fn pins(&self) -> PathBuf {
        Path::new(bpffs::FOLDER).join(&self.command.instance)
    }

    /// Waits for a log line, old or new.
    pub fn wait_log(&self, timeout: Duration, wanted: impl Fn(&LogLine) -> bool) -> Result<LogLine> {
        self.log.wait(0, timeout, wanted)
    }

    /// Makes a change and waits until the agent has programmed something after it, whatever that is. This is for
    /// single changes that program something; when several follow each other closely, use `eventually` on what clients
    /// see.
    pub fn settle<T>(&self, change: impl FnOnce() -> T) -> Result<T> {
        let mark = self.log.mark();
        let value = change();
        self.wait_programmed(mark)?;
        Ok(value)
    }

    fn wait_serving(&self, mark: usize) -> Result<LogLine> {
        self.log.wait(mark, START, |line| line.message() == "serving")
    }

    /// Waits for a "programmed" line in the log after `mark`.
    pub fn wait_programmed(&self, mark: usize) -> Result<LogLine> {
        self.log.wait(mark, START, |line| line.message() == "programmed")
    }

    /// Kills the agent with SIGKILL: what it has pinned keeps working.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Stops the agent with SIGTERM and waits until it ends.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(START)
    }

    /// Starts the agent again with its arguments after `kill` or `stop`, and waits until it serves.
    pub fn restart(&mut self) -> Result<()> {
        let mark = self.log.mark();
        self.process = self.command.launch(&self.log)?;
        self.wait_serving(mark).map(drop)
    }
}

impl Drop for Waggle {
    fn drop(&mut self) {
        // The lab reports failures: it removes what is left of this instance.
        let _ = self.process.kill();
        let _ = fs::remove_dir_all(self.pins());
    }
}
