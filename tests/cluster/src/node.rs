//! A node: its mount and UTS namespaces, containerd with CNI, and kubelet. Inside, every path is the usual one: `/var`
//! and `/run` belong to the node.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    certificates::{self, CONTROL},
    cgroups, command,
    families::{Families, Host},
    folders::{STATE, state},
    images, kubectl,
    members::Members,
    network::{self, namespace_file},
    process::{self, namespaces, on, start},
    programs::Programs,
};

/// The number of zones; nodes are assigned to them in turn.
const ZONES: u8 = 3;

/// Where a node's own control group is mounted on the node; on a machine that is one node that is `/sys/fs/cgroup`.
const CGROUP: &str = "/run/node-cgroup";

/// A file or folder of the node.
fn file(host: Host, name: &str) -> PathBuf {
    state(host.name()).join(name)
}

fn write(host: Host, name: &str, text: &str) -> Result<()> {
    let path = file(host, name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

/// Makes the node's namespaces and the files in them.
pub fn make(members: Members, number: u8) -> Result<()> {
    let host = Host::Node(number);
    write(host, "hosts", &hosts(members))?;
    write(host, "resolv.conf", "")?;
    write(host, "cni/10-bridge.conflist", &cni(members.families, number).to_string())?;
    write(host, "containerd.toml", &containerd(host))?;
    write(host, "kubelet.json", &kubelet(host, members.families).to_string())?;
    for folder in ["lib/waggle-cluster", "log", "tmp", "cache"] {
        let path = file(host, "var").join(folder);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&path).with_context(|| path.display().to_string())?;
    }
    std::os::unix::fs::symlink("/run", file(host, "var/run")).context("link /var/run")?;
    enter_own(host)
}

/// Makes the node's mount and UTS namespaces.
fn enter_own(host: Host) -> Result<()> {
    let Some([mount, uts]) = namespaces(host) else { return Ok(()) };
    for path in [&mount, &uts] {
        fs::write(path, "").with_context(|| format!("create {}", path.display()))?;
    }
    let mut unshare = Command::new("nsenter");
    unshare.arg(format!("--net={}", namespace_file(&host.name()))).arg("unshare");
    unshare.arg(format!("--mount={}", mount.display())).arg(format!("--uts={}", uts.display()));
    unshare.args(["--propagation", "slave", "sh", "-euc", &setup(host)?]);
    command::output(&mut unshare).map(drop).with_context(|| format!("make the namespaces of {}", host.name()))
}

/// The script that mounts a node's file systems and sets its host name.
fn setup(host: Host) -> Result<String> {
    let node = state(host.name()).display().to_string();
    let cgroup = cgroups::unified(host, "")?.display().to_string();
    let name = host.name();
    Ok(format!(
        "hostname {name}
         mount --bind {STATE} {node}/var/lib/waggle-cluster
         mount --rbind {node}/var /var
         mount -t tmpfs -o mode=755 tmpfs /run
         mkdir -p /run/netns /run/lock {CGROUP}
         mount --bind {cgroup} {CGROUP}
         mount --bind {STATE}/{name}/hosts /etc/hosts
         mount --bind {STATE}/{name}/resolv.conf /etc/resolv.conf
         mount -t bpf bpf /sys/fs/bpf
         mount --make-rshared /"
    ))
}

fn hosts(members: Members) -> String {
    let of = |host: Host| {
        let name = if host == Host::Control { CONTROL.to_owned() } else { host.name() };
        members.families.addresses(host).into_iter().map(move |address| format!("{address} {name}"))
    };
    let own = ["127.0.0.1 localhost", "::1 localhost"].map(str::to_owned);
    own.into_iter().chain(members.hosts().flat_map(of)).map(|line| line + "\n").collect()
}

fn cni(families: Families, number: u8) -> Value {
    let ranges: Vec<_> = families.pod_networks(number).iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
    let routes = match families {
        Families::Ipv4 => json!([{ "dst": "0.0.0.0/0" }]),
        Families::Ipv6 => json!([{ "dst": "::/0" }]),
        Families::Dual => json!([{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }]),
    };
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
                "ipam": { "type": "host-local", "ranges": ranges, "routes": routes },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

/// containerd's configuration. Containers' file systems are overlays where the kernel allows it, else copies.
fn containerd(host: Host) -> String {
    let snapshotter = if can_overlay(host) { "overlayfs" } else { "native" };
    let conf = file(host, "cni").display().to_string();
    let pause = images::PAUSE;
    format!(
        r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{conf}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"#
    )
}

/// Whether an overlay can be mounted where the node's files are.
fn can_overlay(host: Host) -> bool {
    let folder = file(host, "overlay");
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| folder.join(name));
    let made = [&lower, &upper, &work, &merged].into_iter().all(|folder| fs::create_dir_all(folder).is_ok());
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let mount = Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&merged).output();
    let mounted = made && mount.is_ok_and(|output| output.status.success());
    if mounted {
        command::succeeds(Command::new("umount").arg(&merged));
    }
    let _ = fs::remove_dir_all(&folder);
    mounted
}

fn kubelet(host: Host, families: Families) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": certificates::file("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups::pods(host),
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDNS": families.dns(),
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "enforceNodeAllocatable": [],
        // The whole machine shares the disk.
        "evictionHard": { "memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%" },
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "1000h",
        "rotateCertificates": false,
        "resolvConf": "/etc/resolv.conf",
    })
}

/// Starts the node: containerd first, which imports the images, then kubelet.
pub fn start_all(programs: &Programs, members: Members, number: u8, archives: &[(String, PathBuf)]) -> Result<()> {
    let host = Host::Node(number);
    start_containerd(host)?;
    for (image, archive) in archives {
        images::import(&mut on(host, "system", "ctr")?, image, archive)?;
    }
    start_kubelet(programs, members, number)
}

/// Simulates a loss of power: kills every process and removes what the kernel had for the node. Its disk stays. Then
/// starts the node again.
pub fn reboot(programs: &Programs, members: Members, number: u8) -> Result<()> {
    let host = Host::Node(number);
    process::forget(host)?;
    cgroups::remove_of(host)?;
    for path in namespaces(host).into_iter().flatten() {
        command::output(Command::new("umount").arg("--lazy").arg(path))?;
    }
    network::remove(host)?;
    cgroups::make_of(host)?;
    network::join(members, host)?;
    members.device_mode.prepare(std::iter::once(host))?;
    enter_own(host)?;
    start_containerd(host)?;
    start_kubelet(programs, members, number)
}

fn flag(flag: &str, value: &Path) -> String {
    format!("--{flag}={}", value.display())
}

fn start_containerd(host: Host) -> Result<()> {
    let config = flag("config", &file(host, "containerd.toml"));
    start(host, &format!("{}-containerd", host.name()), Path::new("containerd"), &[config])?;
    process::wait(host, "containerd", || {
        on(host, "system", "ctr").map(|mut ctr| {
            ctr.arg("version");
            ctr
        })
    })
}

fn start_kubelet(programs: &Programs, members: Members, number: u8) -> Result<()> {
    let host = Host::Node(number);
    let name = host.name();
    let addresses: Vec<_> = members.families.addresses(host).iter().map(ToString::to_string).collect();
    start(
        host,
        &format!("{name}-kubelet"),
        &programs.path("kubelet"),
        &[
            flag("config", &file(host, "kubelet.json")),
            flag("kubeconfig", &certificates::kubeconfig(&format!("system:node:{name}"))),
            format!("--hostname-override={name}"),
            format!("--node-ip={}", addresses.join(",")),
            // Zones are for Services that ask for near backends. Some of Kubernetes' tests need three zones of two
            // nodes.
            format!("--node-labels=topology.kubernetes.io/zone=zone-{}", (number - 1) % ZONES + 1),
        ],
    )
}

/// Waits until the nodes have joined, and gives each node the networks of its pods.
pub fn register(programs: &Programs, members: Members) -> Result<()> {
    for number in members.numbers() {
        let host = Host::Node(number);
        let name = host.name();
        process::wait(host, "kubelet", || Ok(kubectl::command(programs, &["get", "node", &name])))?;
        let networks = members.families.pod_networks(number);
        let patch = json!({ "spec": { "podCIDR": networks[0], "podCIDRs": networks } }).to_string();
        kubectl::output(programs, &["patch", "node", &name, "--patch", &patch])?;
    }
    Ok(())
}
