//! A host of the lab (node, pod or outside client): a namespace, a cgroup, addresses, and processes in them.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use super::{
    capture::capture,
    cgroup,
    client::Client,
    core::Core,
    error::{Error, Result, WithContext},
    netns::Netns,
    ping::ping,
    process::Process,
    protocol::Mode,
    server::Server,
    spawn::{Join, spawn},
};

/// Longest host name: with a prefix it still fits a device name (15 characters).
const NAME_LIMIT: usize = 11;

/// The parts that node, pod and outside client have in common.
#[derive(Clone, Debug)]
pub struct Host {
    pub(super) core: Arc<Core>,
    name: String,
    netns: Netns,
    cgroup: PathBuf,
    procs: Arc<File>,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Host {
    /// Makes namespace and cgroup; the caller wires the devices.
    pub(super) fn create(core: &Arc<Core>, path: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        check_name(name)?;
        let cgroup = core.cgroup.join(path);
        cgroup::create(&cgroup)?;
        let procs = Arc::new(cgroup::open_procs(&cgroup)?);
        let netns = Netns::create(&format!("{}-{}", core.id, path.replace('/', "-")))?;
        Ok(Self { core: Arc::clone(core), name: name.to_owned(), netns, cgroup, procs, v4, v6 })
    }

    /// The name as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's IPv4 address.
    pub fn v4(&self) -> Ipv4Addr {
        self.v4
    }

    /// The host's IPv6 address.
    pub fn v6(&self) -> Ipv6Addr {
        self.v6
    }

    /// Both addresses of the host.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// The host's network namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The folder of the host's cgroup.
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// Starts a process in this host's namespace and cgroup; killed when dropped, or when the test process dies.
    pub fn spawn(&self, command: Command) -> Result<Process> {
        let program = command.get_program().to_string_lossy().into_owned();
        let join = Join { netns: Arc::clone(self.netns.descriptor()), cgroup: Some(Arc::clone(&self.procs)) };
        spawn(command, join).map(Process::new).with_context(|| format!("start {program} on {}", self.name))
    }

    /// Starts a process that opens sockets on request.
    pub fn client(&self) -> Result<Client> {
        Client::start(self)
    }

    /// Serves TCP and UDP on these ports of both addresses, answering with this host's name.
    pub fn serve(&self, ports: &[u16]) -> Result<Server> {
        let at: Vec<_> =
            ports.iter().flat_map(|port| self.addresses().map(|address| SocketAddr::new(address, *port))).collect();
        self.serve_at(&at, Mode::Identity)
    }

    /// Serves TCP and UDP at these addresses.
    pub fn serve_at(&self, at: &[SocketAddr], mode: Mode) -> Result<Server> {
        Server::start(self, at, Some(mode))
    }

    /// Serves SCTP on this port of both addresses, answering with this host's name.
    pub fn serve_sctp(&self, port: u16) -> Result<Server> {
        Server::start(self, &self.addresses().map(|address| SocketAddr::new(address, port)), None)
    }

    /// Sends an ICMP echo request, and says whether `to` itself has answered within `timeout`.
    pub fn ping(&self, to: IpAddr, timeout: Duration) -> Result<bool> {
        self.netns.inside(|| ping(to, timeout))?.with_context(|| format!("ping {to} from {}", self.name))
    }

    /// Captures packets on `device` that match `filter` (pcap-filter(7)) while `work` runs. Returns what `work`
    /// returned and one line for each packet, with every packet that passed before `work` ended.
    pub fn capture<T>(&self, device: &str, filter: &str, work: impl FnOnce() -> T) -> Result<(T, Vec<String>)> {
        capture(self, device, filter, work)
    }
}

/// Names become parts of device, namespace and folder names.
pub(super) fn check_name(name: &str) -> Result<()> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(known) {
        return Ok(());
    }
    Err(Error::Name(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_devices_and_folders() {
        for good in ["a", "node-1", "abcdefghijk"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "abcdefghijkl", "A", "a/b", "a.b", "a b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
