//! What is needed and why: Debian's package names, and the programs by which each is recognised.

use super::Purpose;

/// A Debian package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
}

/// A program of the system and the package that brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) purpose: Purpose,
    pub(crate) package: Package,
}

/// Compile the eBPF programs without a nightly compiler.
pub(crate) const COMPILER: [Package; 3] = [
    Package { name: "rustc-web", why: "compiles the eBPF programs" },
    Package { name: "cargo-web", why: "builds the eBPF programs" },
    Package { name: "libstd-rust-web-dev-bpf", why: "core for the eBPF target, ready-made" },
];

/// Lints the eBPF programs; its version follows [`COMPILER`]'s.
pub(crate) const CLIPPY: Package = Package { name: "rust-web-clippy", why: "lints the eBPF programs" };

/// Needed while bpf-linker is compiled. Its LLVM must be at least as new as rustc-web's.
pub(crate) const LINKER: [Package; 2] = [
    Package { name: "llvm-22-dev", why: "bpf-linker is built on it" },
    Package { name: "libpolly-22-dev", why: "llvm-22's own list of libraries names it" },
];

/// Where [`LINKER`]'s LLVM is.
pub(crate) const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// bpf-linker's version on crates.io.
pub(crate) const LINKER_VERSION: &str = "0.13.0";

/// Programs of the system.
pub(crate) const PROGRAMS: [Program; 29] = [
    program("cc", Purpose::Build, "gcc", "links Rust programs"),
    program("ip", Purpose::Lab, "iproute2", "network namespaces and links of the tests"),
    program("nft", Purpose::Lab, "nftables", "the rule set that the benchmark compares with"),
    program("iptables-legacy", Purpose::Lab, "iptables", "rules of the kind that kernels had before nftables"),
    program("ipset", Purpose::Lab, "ipset", "sets as kube-proxy's IPVS mode leaves them"),
    program("tcpdump", Purpose::Lab, "tcpdump", "proves that a packet does not leave the node"),
    program("ethtool", Purpose::Lab, "ethtool", "switches offloads of the tests' links"),
    program("bpftool", Purpose::Lab, "bpftool", "dumps the maps for people and tests"),
    program("prometheus", Purpose::Lab, "prometheus", "scrapes an agent and evaluates rules and dashboard"),
    program("promtool", Purpose::Lab, "prometheus", "checks them"),
    program("c++", Purpose::Fuzz, "g++", "compiles libFuzzer"),
    program("qemu-system-x86_64", Purpose::Vm, "qemu-system-x86", "boots other kernels"),
    program("busybox", Purpose::Vm, "busybox-static", "the shell of the machines that are booted"),
    program("cpio", Purpose::Vm, "cpio", "packs their file system"),
    program("depmod", Purpose::Vm, "kmod", "tells what their kernel modules need"),
    program("wg", Purpose::Vm, "wireguard-tools", "joins nodes of the tests by WireGuard"),
    program("strip", Purpose::Vm, "binutils", "makes test programs small enough for their memory"),
    program("etcd", Purpose::Cluster, "etcd-server", "keeps the API server's objects"),
    program("containerd", Purpose::Cluster, "containerd", "runs the nodes' containers"),
    program("runc", Purpose::Cluster, "runc", "starts them"),
    program("/usr/lib/cni/bridge", Purpose::Cluster, "containernetworking-plugins", "joins pods to their node"),
    program("umoci", Purpose::Cluster, "umoci", "makes container images from files"),
    program("nc.openbsd", Purpose::Cluster, "netcat-openbsd", "Kubernetes' tests call it in pods"),
    program("curl", Purpose::Cluster, "curl", "as well"),
    program("wget", Purpose::Cluster, "wget", "as well"),
    program("dig", Purpose::Cluster, "bind9-dnsutils", "as well"),
    program("ping", Purpose::Cluster, "iputils-ping", "as well"),
    program("iperf", Purpose::Cluster, "iperf", "as well"),
    program("/bin/busybox", Purpose::Cluster, "busybox-static", "is an image that Kubernetes' tests start"),
];

const fn program(name: &'static str, purpose: Purpose, package: &'static str, why: &'static str) -> Program {
    Program { name, purpose, package: Package { name: package, why } }
}
