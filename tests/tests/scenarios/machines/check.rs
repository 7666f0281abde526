//! `waggle check` on a machine that is fit for Waggle, on one where others are in the way, and without root.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Output},
};

use harness::{
    lab::{Pass, find_program, scratch},
    scene::{Scene, Setup, output},
};
use serde_json::Value;

use super::device_row;

/// Runs `waggle check` in the node's network namespace, for its cgroup. Returns the exit code, and what it prints.
fn run(scene: &Scene, mut command: Command, arguments: &[&str]) -> (i32, String) {
    command.arg("check").args(arguments).arg("--cgroup").arg(scene.node.cgroup());
    let Output { status, stdout, stderr } = scene.node.netns().inside(|| command.output()).unwrap().unwrap();
    assert_eq!(String::from_utf8(stderr).unwrap(), "");
    (status.code().unwrap(), String::from_utf8(stdout).unwrap())
}

fn waggle() -> Command {
    Command::new(find_program("waggle", "WAGGLE_BIN").unwrap())
}

/// The exit code, and the findings.
fn check(scene: &Scene, arguments: &[&str]) -> (i32, Vec<Value>) {
    let (code, text) = run(scene, waggle(), &[arguments, &["-o", "json"]].concat());
    (code, serde_json::from_str(&text).unwrap())
}

/// The findings about a subject, as `level: what was found`.
fn about(findings: &[Value], subject: &str) -> Vec<String> {
    let found = findings.iter().filter(|finding| finding["subject"] == subject);
    found
        .map(|finding| format!("{}: {}", finding["level"].as_str().unwrap(), finding["found"].as_str().unwrap()))
        .collect()
}

/// The only finding about a subject.
fn one(findings: &[Value], subject: &str) -> String {
    let [found] =
        <[String; 1]>::try_from(about(findings, subject)).unwrap_or_else(|found| panic!("{subject}: {found:?}"));
    found
}

#[test]
fn check_finds_what_waggle_needs_and_chooses_devices_as_the_agent_does() {
    let scene = Setup::new("check").build();
    let (code, findings) = check(&scene, &[]);
    assert_eq!(code, 0, "{findings:#?}");
    let fine =
        ["kernel", "program types", "map types", "bpffs", "capabilities", "socket hooks", "kube-proxy", "Cilium"];
    for subject in fine.into_iter().chain(["port 10249", "port 10256", "node ports"]) {
        assert!(one(&findings, subject).starts_with("ok: "), "{subject}: {findings:#?}");
    }
    assert!(one(&findings, "program types").contains("xdp") && one(&findings, "map types").contains("lpm_trie"));
    for mode in ["auto", "tc", "xdp"] {
        let flags = ["--device-mode", mode];
        let (_, findings) = check(&scene, &flags);
        let agent = scene.agent(&flags);
        let served = device_row(&scene.get("devices"), "eth0").unwrap()["mode"].as_str().unwrap().to_owned();
        assert!(one(&findings, "device eth0").contains(&format!(": served by {served}")), "{mode}: {findings:#?}");
        let (code, beside) = check(&scene, &flags);
        assert_eq!(
            about(&beside, "device eth0"),
            about(&findings, "device eth0"),
            "Waggle's own programs are no others"
        );
        assert_eq!((code, one(&beside, "socket hooks")), (0, one(&findings, "socket hooks")));
        assert!(one(&beside, "port 10249").ends_with(&format!("by Waggle's instance {}", scene.node.instance())));
        drop(agent);
    }
    let (code, table) = run(&scene, waggle(), &[]);
    assert!(code == 0 && table.starts_with("RESULT    SUBJECT ") && table.contains("\nok        kernel "), "{table}");
    let (_, yaml) = run(&scene, waggle(), &["-o", "yaml"]);
    assert_eq!(serde_saphyr::from_str::<Vec<Value>>(&yaml).unwrap().len(), findings.len());
}

/// Attaches Waggle's program for a hook to the cgroup as another tool would, so that no other can be beside it.
fn occupy(scene: &Scene, hook: &str) {
    let mut waggle = scene.agent(&[]);
    // It would attach its program again.
    waggle.kill().unwrap();
    let pin = waggle.pins().join("links").join(hook).display().to_string();
    let cgroup = scene.node.cgroup().display().to_string();
    let link: Value =
        serde_json::from_str(&output(scene.node.netns(), &format!("bpftool -j link show pinned {pin}"))).unwrap();
    output(scene.node.netns(), &format!("bpftool link detach pinned {pin}"));
    let attach = format!("bpftool cgroup attach {cgroup} {hook} id {}", link["prog_id"]);
    output(scene.node.netns(), &attach);
    // The instance goes with the agent.
    drop(waggle);
}

#[test]
fn check_names_what_is_in_the_way_and_what_to_do() {
    let scene = Setup::new("check-way").build();
    let netns = scene.node.netns();
    output(netns, "nft add table ip kube-proxy");
    let mut kube_proxy = Command::new("sleep");
    kube_proxy.arg0("/usr/local/bin/kube-proxy").arg("600");
    let mut kube_proxy = scene.node.spawn(kube_proxy).unwrap();
    let listener = netns.inside(|| TcpListener::bind(("0.0.0.0", 10_256))).unwrap().unwrap();
    for (name, value) in [("ip_local_port_range", "1024 65535"), ("ip_forward", "0")] {
        netns.inside(|| fs::write(format!("/proc/sys/net/ipv4/{name}"), value)).unwrap().unwrap();
    }
    let pass = Pass::load(scene.lab.id()).unwrap();
    pass.attach(netns, "eth0").unwrap();
    occupy(&scene, "recvmsg4");

    let (code, findings) = check(&scene, &["--device-mode", "xdp"]);
    assert_eq!(code, 1, "{findings:#?}");
    let held = one(&findings, "socket hooks");
    assert!(held.starts_with("missing: ") && held.ends_with("(recvmsg4) on recvmsg4"), "{held}");
    assert_eq!(one(&findings, "kube-proxy"), format!("warning: it is running (process {})", kube_proxy.id()));
    assert_eq!(one(&findings, "kube-proxy's rules"), "warning: nftables: table ip kube-proxy");
    assert!(one(&findings, "port 10256").starts_with("warning: in use by another process"));
    assert!(one(&findings, "port 10249").starts_with("ok: "));
    assert!(one(&findings, "node ports").starts_with("warning: 2768 of 30000-32767"));
    assert!(one(&findings, "source ports").starts_with("warning: 0 ports"));
    let off = about(&findings, "forwarding");
    assert!(off.iter().any(|found| found.starts_with("warning: net.ipv4.ip_forward is 0")), "{off:?}");
    let device = one(&findings, "device eth0");
    assert!(
        device.starts_with("warning: served by tc or not at all: ") && device.contains(" on xdp is on"),
        "{device}"
    );
    assert!(findings.iter().all(|finding| (finding["level"] == "ok") == finding["advice"].is_null()), "{findings:#?}");
    assert_eq!(output(netns, "nft list tables").trim(), "table ip kube-proxy", "nothing is removed");

    pass.unpin().unwrap();
    drop(listener);
    kube_proxy.kill().unwrap();
}

#[test]
fn check_without_root_says_what_it_could_not_see() {
    /// A user without capabilities.
    const USER: u32 = 65_534;
    let scene = Setup::new("check-user").build();
    // The folder of the built program may be closed to others.
    let program = scratch("check");
    // Copied by a process of its own. Had this one the copy open for writing, a child that another thread forks meanwhile would
    // inherit that until it execs, and the kernel runs no file that is open for writing (ETXTBSY).
    let copied = Command::new("cp").arg(find_program("waggle", "WAGGLE_BIN").unwrap()).arg(&program).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.uid(USER).gid(USER);
    let (code, text) = run(&scene, command, &["-o", "json"]);
    fs::remove_file(&program).unwrap();
    let findings: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 0, "{findings:#?}");
    for subject in ["program types", "TCX", "socket hooks", "forwarding"] {
        assert!(
            about(&findings, subject).iter().any(|found| found.starts_with("warning: not seen: ")),
            "{findings:#?}"
        );
    }
    assert!(one(&findings, "capabilities").contains("CAP_BPF (to create maps and load programs)"));
    assert!(one(&findings, "kernel").starts_with("ok: ") && one(&findings, "port 10249").starts_with("ok: "));
    assert!(about(&findings, "device eth0")[0].contains("served by tc"), "{findings:#?}");
}
