//! The bodies of the fuzz targets. Each treats its input as the agent would, short of the kernel and the network. The targets
//! themselves are in the folder `fuzz` of the workspace.

#[cfg(test)]
mod tests;
mod world;

use std::{cell::RefCell, fs, path::PathBuf, process};

use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};

use self::world::{NODE, World};
use crate::{
    attach,
    commands::{
        cli::{Cli, Command},
        kube_proxy,
    },
    config::kube_proxy as configuration,
    devices,
    node::{addresses, netlink, rtnetlink},
    sockets::destroy,
    succession::import,
    watch::{kube, manifests},
};

/// Separates the successive texts of a manifest. No UTF-8 text contains this byte.
const NEXT: u8 = 0xff;

/// The bytes before the attributes of netfilter's messages: `struct nlmsghdr` and `struct nfgenmsg`.
const NETFILTER: usize = 20;

/// Reads successive texts of one manifest, from YAML to a plan for the maps.
pub fn manifests(input: &[u8]) {
    let (mut world, mut revisions) = (World::default(), manifests::fuzz::Revisions::default());
    for text in input.split(|byte| *byte == NEXT) {
        world.take(revisions.read(text, NODE));
        world.settle();
    }
    world.check();
}

/// Reads lines of watches, from JSON to a plan for the maps. At an empty line, the events before it come into force.
pub fn objects(input: &[u8]) {
    let (mut world, mut watches) = (World::listed(), kube::fuzz::Watches::new());
    for line in input.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            world.settle();
        }
        world.take(watches.read(line));
    }
    world.check();
}

/// Reads a kubeconfig and makes a client, which sends nothing. Commands and files that the kubeconfig names are left out.
pub fn kubeconfig(input: &[u8]) {
    thread_local! {
        static STAGE: RefCell<Option<Stage>> = const { RefCell::new(None) };
    }
    STAGE.with_borrow_mut(|stage| stage.get_or_insert_with(Stage::new).read(input));
}

/// A folder and a runtime for reading kubeconfigs.
struct Stage {
    folder: PathBuf,
    runtime: Runtime,
}

impl Stage {
    fn new() -> Self {
        let thread = format!("{:?}", std::thread::current().id());
        let folder = std::env::temp_dir().join(format!("waggle-fuzz-{}-{thread}", process::id()));
        fs::create_dir_all(&folder).expect("make a folder for kubeconfigs");
        Self { folder, runtime: Builder::new_current_thread().enable_all().build().expect("start a runtime") }
    }

    fn read(&self, kubeconfig: &[u8]) {
        let file = self.folder.join("config");
        fs::write(&file, kubeconfig).expect("write the kubeconfig");
        self.runtime.block_on(kube::fuzz::connect(&file));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // There is no caller to report an error to.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Reads a KubeProxyConfiguration, and makes the agent's configuration from it.
pub fn kube_proxy_config(input: &[u8]) {
    let Some(file) = str::from_utf8(input).ok().and_then(configuration::read_text) else { return };
    let Command::Run(arguments) = Cli::parse_from(["waggle", "run"]).command else { return };
    let _ = arguments.config(Some(file)).flows.constants();
}

/// Reads messages of the kernel. Each is parsed as one about devices, addresses, routes, rules, qdiscs, flows, sets and sockets.
pub fn netlink(input: &[u8]) {
    let snapshot = rtnetlink::fuzz::snapshot(input);
    let _ = addresses::local_addresses(&snapshot);
    devices::fuzz_selection(&snapshot);
    for message in netlink::messages(input).map_while(Result::ok) {
        let attributes = message.get(NETFILTER..).unwrap_or_default();
        attach::read(message);
        import::read(attributes);
        destroy::read(message);
        kube_proxy::read(message, attributes);
    }
}
