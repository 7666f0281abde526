//! The running cluster for a scenario: kubectl in a namespace that only this scenario uses.

use std::{
    cell::Cell,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{command, families::Host, kubectl, members::Members, network, programs::Programs};

/// How long the cluster may take to do what a scenario asks for.
pub const WAIT_LIMIT: Duration = Duration::from_mins(3);

/// The image of clients and servers.
pub const IMAGE: &str = "registry.k8s.io/e2e-test-images/agnhost:2.63.0";

/// The running cluster.
pub struct Cluster {
    pub members: Members,
    pub programs: Programs,
    /// The number of namespaces that scenarios have got.
    count: Cell<u32>,
}

impl Cluster {
    /// The cluster that runs.
    pub fn running() -> Result<Self> {
        Ok(Self { members: Members::read()?, programs: Programs::find()?, count: Cell::new(0) })
    }

    fn namespace(&self) -> String {
        format!("scenario-{}-{}", std::process::id(), self.count.get())
    }

    /// Runs a scenario in a new namespace, which is removed after it.
    pub fn in_namespace(&self, scenario: fn(&Self) -> Result<()>) -> Result<()> {
        self.count.set(self.count.get() + 1);
        let namespace = self.namespace();
        self.kubectl(&["create", "namespace", &namespace])?;
        // Pods can be made once this account exists.
        let has_account = eventually("the namespace's account", || self.kubectl(&["get", "serviceaccount", "default"]));
        let outcome = has_account.and_then(|_| scenario(self));
        let _ = self.kubectl(&["delete", "namespace", &namespace, "--ignore-not-found", "--wait=false"]);
        outcome
    }

    /// Runs kubectl in the scenario's namespace to its end, and returns what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        command::output(&mut self.command(arguments))
    }

    /// Runs kubectl for objects outside of the scenario's namespace.
    pub fn kubectl_outside(&self, arguments: &[&str]) -> Result<String> {
        kubectl::output(&self.programs, arguments)
    }

    /// Waits until a DaemonSet in `kube-system` runs on every node.
    pub fn daemons_run(&self, name: &str) -> Result<()> {
        let (name, timeout) = (format!("daemonset/{name}"), format!("--timeout={}s", WAIT_LIMIT.as_secs()));
        self.kubectl_outside(&["--namespace=kube-system", "rollout", "status", &name, &timeout]).map(drop)
    }

    /// Starts kubectl in the scenario's namespace, and leaves it running.
    pub fn start_kubectl(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("start kubectl")
    }

    /// Applies manifests in the scenario's namespace.
    pub fn apply(&self, text: &str) -> Result<()> {
        command::feed(&mut self.command(&["apply", "-f", "-"]), text)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let namespace = self.namespace();
        let mut command = kubectl::command(&self.programs, &["--namespace", &namespace]);
        command.args(arguments);
        command
    }

    /// An address of a node as part of a URL.
    pub fn node_address(&self, number: u8) -> String {
        let address = self.members.families.addresses(Host::Node(number))[0];
        if address.is_ipv6() { format!("[{address}]") } else { address.to_string() }
    }

    /// Starts a pod for clients, and waits for it.
    pub fn client(&self, name: &str) -> Result<()> {
        self.client_with(name, &[])
    }

    /// Starts a pod for clients with further arguments of `kubectl run`, and waits for it.
    pub fn client_with(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let image = format!("--image={IMAGE}");
        let run = ["run", name, &image, "--restart=Never"];
        self.kubectl(&[&run, arguments, &["--command", "--", "sleep", "3600"]].concat())?;
        self.wait(&["pod", name, "--for=condition=Ready"])
    }

    /// `kubectl wait`.
    pub fn wait(&self, arguments: &[&str]) -> Result<()> {
        let timeout = format!("--timeout={}s", WAIT_LIMIT.as_secs());
        let arguments: Vec<_> =
            ["wait"].into_iter().chain(arguments.iter().copied()).chain([timeout.as_str()]).collect();
        self.kubectl(&arguments).map(drop)
    }

    /// Waits until a rollout is complete.
    pub fn rolled_out(&self, what: &str) -> Result<()> {
        let timeout = format!("--timeout={}s", WAIT_LIMIT.as_secs());
        self.kubectl(&["rollout", "status", what, &timeout]).map(drop)
    }

    /// Runs a command in a pod, by its shell.
    pub fn in_pod(&self, pod: &str, script: &str) -> Result<String> {
        self.kubectl(&["exec", pod, "--", "sh", "-c", script])
    }

    /// The names of the backends that answer at `url`. A pod asks until as many as wanted have answered.
    pub fn backends(&self, pod: &str, url: &str, wanted: usize) -> Result<()> {
        let script = format!("for i in $(seq 40); do curl -gsS -m 5 {url}/hostname; echo; done | sort -u");
        eventually(&format!("{wanted} backends behind {url}"), || {
            let names = self.in_pod(pod, &script)?;
            let found = names.lines().filter(|line| !line.is_empty()).count();
            if found == wanted { Ok(()) } else { bail!("{found} answer: {names}") }
        })
    }
}

/// Runs a program in the control plane's namespace, outside of every node.
pub fn outside(program: &str, arguments: &[&str]) -> Result<String> {
    command::output(network::within("control", program).args(arguments))
}

/// Repeats `ask` until it succeeds.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let until = Instant::now() + WAIT_LIMIT;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() > until => {
                return Err(error).with_context(|| format!("waited for {what}"));
            }
            Err(_) => thread::sleep(Duration::from_millis(250)),
        }
    }
}
