//! kube-proxy itself, as `cargo xtask cluster` builds it, on a node whose objects are in an API server.

use std::{
    env, fs,
    fs::File,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Stdio},
};

use harness::{
    agents::Files,
    lab::{Netns, Process, Source, find_program},
    scene::{NODE_PORT, Outside, until},
};
use serde_json::json;

use super::{rules::Place, virtual_servers::has_ipvs};

/// A mode of kube-proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Nftables,
    /// With the programs iptables-NAME and ip6tables-NAME.
    Iptables(&'static str),
    Ipvs,
}

/// What others have on the node.
const OTHER_TABLE: &str =
    "table inet others { chain input { type filter hook input priority 0; ct state new accept; }; }";

impl Mode {
    /// As kube-proxy's configuration names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables(_) => "iptables",
            Self::Ipvs => "ipvs",
        }
    }

    const fn place(self) -> Place {
        match self {
            Self::Nftables => Place::Nftables,
            Self::Iptables(variant) => Place::Iptables(variant),
            Self::Ipvs => Place::Ipvs,
        }
    }

    /// Installs what is not kube-proxy's.
    pub fn install_others(self, netns: &Netns) {
        match self {
            Self::Nftables => netns.load_rules(OTHER_TABLE).unwrap(),
            Self::Iptables(_) | Self::Ipvs => self.place().install_others(netns),
        }
    }

    /// Everything in the kernel that another program may have made, but for a rule in the kubelet's chain KUBE-FIREWALL, which
    /// kube-proxy makes, too, and which has to stay: it keeps others from loopback while `route_localnet` is set.
    pub fn listing(self, netns: &Netns) -> String {
        let text = self.place().listing(netns);
        let others = text.lines().filter(|line| !line.contains("block incoming localnet connections"));
        others.flat_map(|line| [line, "\n"]).collect()
    }
}

/// The program, and where its files are.
pub struct KubeProxy {
    mode: Mode,
    program: PathBuf,
    files: Files,
}

impl KubeProxy {
    /// `None`, with a line that says so, where the program has not been built or the kernel has no IPVS.
    pub fn find(mode: Mode) -> Option<Self> {
        let Ok(program) = find_program("kube-proxy", "KUBE_PROXY_BIN") else {
            println!("not tested: there is no kube-proxy here (`cargo xtask cluster up` builds it)");
            return None;
        };
        if mode == Mode::Ipvs && !has_ipvs() {
            return None;
        }
        Some(Self { mode, program, files: Files::new(&format!("kube-proxy-{}", mode.name())) })
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Starts it on the node, and waits until its rules are there.
    pub fn start(&self, outside: &Outside) -> Process {
        let node = &outside.scene.node;
        let Source::Kubeconfig(kubeconfig) = outside.scene.api().source() else { panic!("no kubeconfig") };
        let config = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": self.mode.name(),
            "hostnameOverride": node.name(),
            // Packets from elsewhere to a ClusterIP are masqueraded, so that answers come back this way.
            "clusterCIDR": "10.244.0.0/16,fd00:10:244::/48",
            // The tests' API server speaks JSON alone.
            "clientConnection": {
                "kubeconfig": kubeconfig, "contentType": "application/json", "acceptContentTypes": "application/json",
            },
            // A setting of the whole machine.
            "conntrack": { "maxPerCore": 0, "min": 0 },
        });
        let file = |name: &str| self.files.path().join(name);
        fs::write(file("config.json"), config.to_string()).unwrap();
        let log = File::create(file("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.arg(format!("--config={}", file("config.json").display())).env("PATH", self.programs());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut process = node.spawn(command).unwrap();
        until("kube-proxy's rules", || {
            assert!(process.is_running(), "{}", fs::read_to_string(file("log")).unwrap());
            self.has_rules(node.netns())
        });
        process
    }

    /// Whether the node port is in the rules of both families.
    fn has_rules(&self, netns: &Netns) -> bool {
        let text = self.mode.listing(netns);
        let (wanted, count) = match self.mode {
            Mode::Nftables => (format!("tcp . {NODE_PORT} "), 2),
            Mode::Iptables(_) => (format!("--dport {NODE_PORT} "), 4),
            Mode::Ipvs => (format!(":{NODE_PORT} -r "), 8),
        };
        text.matches(&wanted).count() >= count
    }

    /// A search path in which `iptables` is that of the mode.
    fn programs(&self) -> String {
        let own = env::var("PATH").unwrap();
        let variant = match self.mode.place() {
            Place::Iptables(variant) => variant,
            Place::Ipvs => "nft",
            Place::Nftables => return own,
        };
        let folder = self.files.path().join("bin");
        fs::create_dir_all(&folder).unwrap();
        let find = |name: &str| env::split_paths(&own).map(|path| path.join(name)).find(|path| path.is_file());
        for (program, end) in
            ["iptables", "ip6tables"].into_iter().flat_map(|it| ["", "-save", "-restore"].map(|end| (it, end)))
        {
            let _ =
                symlink(find(&format!("{program}-{variant}{end}")).unwrap(), folder.join(format!("{program}{end}")));
        }
        format!("{}:{own}", folder.display())
    }
}
