//! The packages and programs that are needed, and why, by Debian's names.

use super::Purpose;

/// A Debian package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
}

/// A program of the system and its package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) purpose: Purpose,
    pub(crate) package: Package,
}

/// Packages that compile the eBPF programs without a nightly compiler.
pub(crate) const COMPILER: [Package; 3] = [
    Package { name: "rustc-web", why: "compiles the eBPF programs" },
    Package { name: "cargo-web", why: "builds the eBPF programs" },
    Package { name: "libstd-rust-web-dev-bpf", why: "core for the eBPF target, ready-made" },
];

/// The package that lints the eBPF programs. Its version follows that of [`COMPILER`].
pub(crate) const CLIPPY: Package = Package { name: "rust-web-clippy", why: "lints the eBPF programs" };

/// Packages that are needed to compile bpf-linker. Their LLVM must be at least as new as rustc-web's.
pub(crate) const LINKER: [Package; 2] = [
    Package { name: "llvm-22-dev", why: "bpf-linker is built on it" },
    Package { name: "libpolly-22-dev", why: "llvm-22's own list of libraries has it" },
];

/// The folder with the LLVM of [`LINKER`].
pub(crate) const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// bpf-linker's version on crates.io.
pub(crate) const LINKER_VERSION: &str = "0.13.0";

/// The programs of the system that are needed.
pub(crate) const PROGRAMS: [Program; 39] = [
    program("cc", Purpose::Build, "gcc", "links Rust programs"),
    program("ip", Purpose::Lab, "iproute2", "network namespaces and links of the tests"),
    program("nft", Purpose::Lab, "nftables", "the rule set that the benchmark compares with"),
    program("iptables-legacy", Purpose::Lab, "iptables", "rules in the kernel's tables from before nftables"),
    program("ipset", Purpose::Lab, "ipset", "sets such as kube-proxy's IPVS mode leaves"),
    program("tcpdump", Purpose::Lab, "tcpdump", "proves that a packet does not leave the node"),
    program("tshark", Purpose::Lab, "tshark", "reads what waggle capture writes"),
    program("ethtool", Purpose::Lab, "ethtool", "switches offloads of devices in tests"),
    program("curl", Purpose::Lab, "curl", "asks the agent's ports, as docs/troubleshoot.md says"),
    program("bpftool", Purpose::Lab, "bpftool", "dumps the maps for people and tests"),
    program("jq", Purpose::Lab, "jq", "filters dumps of maps for people and tests"),
    program("prometheus", Purpose::Lab, "prometheus", "scrapes an agent and evaluates rules and dashboard"),
    program("promtool", Purpose::Lab, "prometheus", "checks Prometheus rules"),
    program("chromium", Purpose::Page, "chromium", "shows the agent's page to its tests"),
    program("chromedriver", Purpose::Page, "chromium-driver", "clicks through the agent's page in its tests"),
    program("c++", Purpose::Fuzz, "g++", "compiles libFuzzer"),
    program("qemu-system-x86_64", Purpose::Vm, "qemu-system-x86", "boots other kernels"),
    program("busybox", Purpose::Vm, "busybox-static", "the shell of the booted machines"),
    program("cpio", Purpose::Vm, "cpio", "packs the file system of the booted machines"),
    program("depmod", Purpose::Vm, "kmod", "finds the dependencies of kernel modules"),
    program("ipvsadm", Purpose::Vm, "ipvsadm", "virtual servers such as kube-proxy's IPVS mode leaves"),
    program("wg", Purpose::Vm, "wireguard-tools", "connects nodes of the tests by WireGuard"),
    program("strip", Purpose::Vm, "binutils", "makes test programs small enough for the booted machines"),
    program("etcd", Purpose::Cluster, "etcd-server", "keeps the API server's objects"),
    program("containerd", Purpose::Cluster, "containerd", "runs the nodes' containers"),
    program("runc", Purpose::Cluster, "runc", "starts the nodes' containers"),
    program("/usr/lib/cni/bridge", Purpose::Cluster, "containernetworking-plugins", "connects pods to their node"),
    program("umoci", Purpose::Cluster, "umoci", "makes container images from files"),
    program("nc.openbsd", Purpose::Cluster, "netcat-openbsd", "Kubernetes' tests call it in pods"),
    program("curl", Purpose::Cluster, "curl", "Kubernetes' tests call it in pods"),
    program("wget", Purpose::Cluster, "wget", "Kubernetes' tests call it in pods"),
    program("dig", Purpose::Cluster, "bind9-dnsutils", "Kubernetes' tests call it in pods"),
    program("ping", Purpose::Cluster, "iputils-ping", "Kubernetes' tests call it in pods"),
    program("iperf", Purpose::Cluster, "iperf", "Kubernetes' tests call it in pods"),
    program("musl-gcc", Purpose::Dist, "musl-tools", "compiles C in a static program"),
    program("umoci", Purpose::Dist, "umoci", "makes container images from files"),
    program("strip", Purpose::Dist, "binutils", "makes programs in container images smaller"),
    program("debootstrap", Purpose::Dist, "debootstrap", "makes a clean Debian that the package is installed in"),
    program("/bin/busybox", Purpose::Cluster, "busybox-static", "is an image that Kubernetes' tests start"),
];

const fn program(name: &'static str, purpose: Purpose, package: &'static str, why: &'static str) -> Program {
    Program { name, purpose, package: Package { name: package, why } }
}
