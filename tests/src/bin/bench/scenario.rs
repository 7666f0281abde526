//! A lab with a server, a client and one kind of service proxy.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr},
    ops::Deref,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use harness::{
    lab::{Host, Lab, Node, Process, Waggle},
    objects::ManifestDir,
};

use crate::{
    cli::{Options, Place},
    figures::Proxy,
    manifests, nftables,
    orders::{Block, Order},
};

/// How long a proxy may take to be ready.
const PATIENCE: Duration = Duration::from_mins(2);

/// Everything that must live while it is measured, in the order in which it is to be dropped.
pub struct Scenario {
    client: Mutex<Pipes>,
    _server: Process,
    _waggle: Option<(Waggle, ManifestDir)>,
    backend: Ipv4Addr,
    _lab: Lab,
}

struct Pipes {
    orders: ChildStdin,
    blocks: BufReader<ChildStdout>,
    _process: Process,
}

impl Scenario {
    /// Makes the lab and waits until the proxy serves all Services.
    pub fn create(proxy: Proxy, services: u32, options: &Options) -> Result<Self> {
        let lab = Lab::new("bench")?;
        let node = lab.node("a")?;
        let (server, shell) = (node.pod("server")?, node.pod("client")?);
        let backend = server.v4();
        let waggle = match proxy {
            Proxy::Waggle => {
                let folder = ManifestDir::new();
                folder.write("services.json", &manifests::list(services, options.endpoints(), backend));
                Some((start_waggle(&node, &folder)?, folder))
            }
            Proxy::Nftables => {
                load(&node, &nftables::rule_set(services, options.endpoints(), backend))?;
                None
            }
        };
        let from: &Host = match options.client {
            Place::Node => &node,
            Place::Pod => &shell,
        };
        let server = start_server(&server)?;
        let client = Mutex::new(start_client(from)?);
        Ok(Self { client, _server: server, _waggle: waggle, backend, _lab: lab })
    }

    /// The backend's own address.
    pub fn backend(&self) -> IpAddr {
        self.backend.into()
    }

    /// Has the client measure one block.
    pub fn measure(&self, order: &Order) -> Result<Block> {
        let mut client = self.client.lock().expect("no thread panics while it measures");
        let mut line = serde_json::to_string(order)? + "\n";
        client.orders.write_all(line.as_bytes()).context("send an order to the measuring process")?;
        line.clear();
        client.blocks.read_line(&mut line).context("read what was measured")?;
        if line.is_empty() {
            bail!("the measuring process has ended: see its message above");
        }
        serde_json::from_str(&line).context("understand what was measured")
    }
}

fn start_waggle(node: &Node, folder: &ManifestDir) -> Result<Waggle> {
    let command = node.waggle(&folder.source()).allocating(manifests::SERVICE_CIDR, folder.allocations());
    let waggle = command.start_unready()?;
    waggle.wait_log(PATIENCE, |line| line.message() == "programmed")?;
    Ok(waggle)
}

/// Loads a rule set in the node's namespace.
fn load(node: &Node, parts: &[String]) -> Result<()> {
    for part in parts {
        let mut command = Command::new("nft");
        command.args(["-f", "-"]).stdin(Stdio::piped());
        let mut nft = node.spawn(command).context("run nft: install the package nftables")?;
        nft.take_stdin().context("nft's stdin")?.write_all(part.as_bytes()).context("feed nft")?;
        if !nft.wait(PATIENCE)?.success() {
            bail!("nft refused the rule set: see its message above");
        }
    }
    // Reset connections would else fill the table within seconds, at a pace that no real node has.
    let close = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close";
    node.netns().inside(|| fs::write(close, "1"))?.with_context(|| format!("write {close}"))
}

/// This executable in another role, before all others on its CPU.
fn own(arguments: &[String]) -> Result<Command> {
    let mut command = Command::new("nice");
    command.args(["-n", "-20"]).arg(env::current_exe().context("find this executable")?);
    command.args(arguments).stdout(Stdio::piped());
    Ok(command)
}

fn start_server(host: &impl Deref<Target = Host>) -> Result<Process> {
    let mut server = host.spawn(own(&["server".into(), host.v4().to_string()])?)?;
    let mut line = String::new();
    BufReader::new(server.take_stdout().context("the server's stdout")?).read_line(&mut line)?;
    if line.is_empty() {
        bail!("the server has ended: see its message above");
    }
    Ok(server)
}

fn start_client(host: &Host) -> Result<Pipes> {
    let mut command = own(&["client".into()])?;
    command.stdin(Stdio::piped());
    let mut process = host.spawn(command)?;
    let orders = process.take_stdin().context("the client's stdin")?;
    let blocks = BufReader::new(process.take_stdout().context("the client's stdout")?);
    Ok(Pipes { orders, blocks, _process: process })
}
