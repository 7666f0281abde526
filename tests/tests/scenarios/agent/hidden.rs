//! The commands that look at an instance, where no BPF file system is mounted: `ip netns exec` mounts a `/sys` of its own over the
//! host's.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::process::{Command, Output};

use harness::{
    lab::find_program,
    scene::{Scene, Setup},
};

/// Each command with its arguments.
const COMMANDS: [&str; 10] = [
    "get services",
    "get devices --watch",
    "get maps",
    "explain 192.0.2.9 10.96.0.10:80",
    "top --once",
    "monitor",
    "capture -w /dev/null",
    "bpftool",
    "status",
    "cleanup",
];

/// Whether `waggle` succeeds, and what it prints, started in the node's network namespace by the program `by`.
fn run(scene: &Scene, by: &[&str], arguments: &str) -> (bool, String) {
    let waggle = find_program("waggle", "WAGGLE_BIN").unwrap();
    let mut command = Command::new(by[0]);
    command.args(&by[1..]).arg(waggle).args(arguments.split(' ')).args(["--instance", &scene.node.instance()]);
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn a_hidden_bpf_file_system_is_named_instead_of_a_missing_instance() {
    let mut scene = Setup::new("hidden").start();
    // It would say its status itself.
    scene.waggle.kill().unwrap();
    let name = scene.node.netns().name();
    for arguments in COMMANDS {
        let (success, text) = run(&scene, &["ip", "netns", "exec", name], arguments);
        assert!(
            !success && text.contains("find a bpf file system at /sys/fs/bpf: there is none"),
            "{arguments}: {text}"
        );
        assert!(text.contains("`ip netns exec` hides it"), "{arguments}: {text}");
    }
    let by = format!("--net=/run/netns/{name}");
    let (success, text) = run(&scene, &["nsenter", &by], "get maps");
    assert!(success && text.contains("SERVICES"), "{text}");
}
