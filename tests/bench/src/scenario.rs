//! A lab with a server, a client and one kind of service proxy.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::Result;
use harness::{
    lab::{Host, Lab, Node, Process, Waggle},
    objects::ManifestDir,
};

use crate::{
    cli::{Options, Place},
    figures::Proxy,
    manifests::{self, Services},
    nftables,
    orders::{Block, Order},
    processes::{Client, start_server},
};

/// How long a proxy may take to be ready.
const WAIT_LIMIT: Duration = Duration::from_mins(2);

/// The parts that must live while it is measured. They are dropped in this order.
pub struct Scenario {
    client: Client,
    _server: Process,
    _waggle: Option<(Waggle, ManifestDir)>,
    backend: Ipv4Addr,
    _lab: Lab,
}

impl Scenario {
    /// Makes the lab and waits until the proxy serves all Services.
    pub fn create(proxy: Proxy, services: u32, options: &Options) -> Result<Self> {
        let lab = Lab::new("bench")?;
        let node = lab.node("a")?;
        let (server, shell) = (node.pod("server")?, node.pod("client")?);
        let backend = server.v4();
        let services = Services { count: services, endpoints: options.endpoints(), backend, node_ports: false };
        let waggle = match proxy {
            Proxy::Waggle => {
                let folder = ManifestDir::new();
                folder.write("services.json", &manifests::list(&services));
                Some((start_waggle(&node, &folder)?, folder))
            }
            Proxy::Nftables => {
                nftables::load(&node, &services)?;
                None
            }
        };
        let from: &Host = match options.client {
            Place::Node => &node,
            Place::Pod => &shell,
        };
        let server = start_server(&server)?;
        let client = Client::start(from)?;
        Ok(Self { client, _server: server, _waggle: waggle, backend, _lab: lab })
    }

    /// The backend's own address.
    pub fn backend(&self) -> IpAddr {
        self.backend.into()
    }

    /// Orders one block from the client.
    pub fn measure(&self, order: &Order) -> Result<Block> {
        self.client.measure(order)
    }
}

fn start_waggle(node: &Node, folder: &ManifestDir) -> Result<Waggle> {
    let command = node.waggle(&folder.source()).allocating(manifests::SERVICE_CIDR, folder.allocations());
    let waggle = command.start_unready()?;
    waggle.wait_log(WAIT_LIMIT, |line| line.message() == "serving")?;
    Ok(waggle)
}
