//! How the lab handles the agent: starts it, waits for it, kills it, starts it again, and removes its pins. A script
//! replaces the agent, so that only the lab is tested; it prints the lines that the lab waits for.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use harness::{
    lab::{Lab, Waggle, scratch},
    objects::{Cluster, ManifestDir, service, slice},
};
use nix::sys::signal::Signal;

/// Makes a pin, prints that it has programmed and serves, and prints that it has programmed at each SIGUSR1.
const SCRIPT: &str = r#"#!/bin/sh
instance=$(echo "$*" | sed 's/.*--instance \([^ ]*\).*/\1/')
mkdir -p /sys/fs/bpf/waggle/$instance
trap 'echo "{\"fields\":{\"message\":\"programmed\",\"generation\":2}}"' USR1
trap 'echo stopping >&2; exit 3' TERM
echo "arguments: $*"
echo '{"fields":{"message":"programmed","generation":1}}'
echo '{"fields":{"message":"serving"}}'
while :; do sleep 0.01; done
"#;

/// The script as a file, removed when dropped.
struct Script(PathBuf);

impl Script {
    fn new(name: &str, text: &str) -> Self {
        let path = scratch(name);
        fs::write(&path, text).expect("write a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("make a script executable");
        Self(path)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn generations(waggle: &Waggle) -> Vec<u64> {
    waggle.log().since(0).iter().filter_map(|line| line.field("generation")?.as_u64()).collect()
}

#[test]
fn agent_is_started_settled_restarted_and_removed() {
    let script = Script::new("agent", SCRIPT);
    let lab = Lab::new("agent").unwrap();
    let node = lab.node("a").unwrap();
    let folder = ManifestDir::new();
    let mut waggle = node.waggle(&folder.source()).program(&script.0).args(["--verbose"]).start().unwrap();
    let patience = Duration::from_secs(5);
    let arguments = waggle.wait_log(patience, |line| line.text.starts_with("arguments: ")).unwrap().text;
    for wanted in [
        format!(" --instance {}-a --node-name a --cgroup ", lab.id()),
        format!("--manifests {} --verbose", folder.path().display()),
    ] {
        assert!(arguments.contains(&wanted), "{arguments}");
    }
    let pid = waggle.process().id();
    waggle
        .settle(|| {
            folder.put(&service("web").port(80, 80).build());
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGUSR1).unwrap();
        })
        .unwrap();
    assert_eq!(generations(&waggle), [1, 2]);

    waggle.kill().unwrap();
    assert!(waggle.pins().exists(), "what is pinned survives the agent");
    waggle.restart().unwrap();
    assert_eq!(generations(&waggle), [1, 2, 1]);
    assert_eq!(waggle.stop().unwrap().code(), Some(3));
    assert!(waggle.wait_log(patience, |line| line.text == "stopping").is_ok());
    let pins = waggle.pins();
    drop(waggle);
    assert!(!pins.exists());
}

#[test]
fn agent_that_fails_to_start_is_reported_with_its_log() {
    let script = Script::new("broken", "#!/bin/sh\necho 'cgroup is missing' >&2\nexit 1\n");
    let lab = Lab::new("broken").unwrap();
    let node = lab.node("a").unwrap();
    let folder = ManifestDir::new();
    let error = node.waggle(&folder.source()).program(&script.0).start().unwrap_err().to_string();
    assert!(error.contains("the process has ended") && error.contains("cgroup is missing"), "{error}");
}

#[test]
fn each_change_of_a_real_agent_can_be_waited_for() {
    let lab = Lab::new("settle").unwrap();
    let node = lab.node("a").unwrap();
    let (web, shell) = (node.pod("web").unwrap(), node.pod("shell").unwrap());
    let _server = web.serve(&[8080]).unwrap();
    let folder = ManifestDir::new();
    folder.put(&service("web").cluster_ip("10.96.0.10").port(80, 8080).build());
    let waggle = node.waggle(&folder.source()).allocating("10.96.0.0/16", folder.allocations()).start().unwrap();
    let client = shell.client().unwrap();
    for _ in 0..3 {
        waggle.settle(|| folder.put(&slice("web").port(8080).pod(&web).build())).unwrap();
        assert_eq!(client.tcp("10.96.0.10:80").unwrap().backend(), "web");
        waggle.settle(|| folder.delete("EndpointSlice", "default", "web")).unwrap();
        assert_eq!(client.tcp("10.96.0.10:80").unwrap_err().errno, "ECONNREFUSED");
    }
}
