//! Tests of the lab: hosts reach each other, processes are where they should be, and nothing is left behind.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    panic,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use harness::lab::{BPFFS, Dial, Lab, Transport, cgroup_mount_point, eventually, lock_machine};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Everything on the machine that has a lab's id in its name.
fn traces(id: &str) -> Vec<String> {
    let list = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().display().to_string()).collect::<Vec<_>>()
    };
    let mut all = list(Path::new("/run/netns"));
    all.extend(list(&cgroup_mount_point().expect("cgroup v2")));
    all.extend(list(Path::new(BPFFS)));
    all.extend(list(&std::env::temp_dir()));
    all.extend(fs::read_to_string("/proc/self/mountinfo").expect("mounts").lines().map(str::to_owned));
    assert!(id.len() > 4);
    all.retain(|line| line.contains(id));
    all
}

/// Whether the process exists, zombies excluded.
fn runs(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[test]
fn hosts_reach_each_other_over_both_families_and_protocols() {
    let lab = Lab::new("reach").unwrap();
    let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
    let (p1, p2, p3) = (a.pod("p1").unwrap(), a.pod("p2").unwrap(), b.pod("p3").unwrap());
    let outside = lab.client("ext").unwrap();
    let _servers = [p1.serve(&[8080]), b.serve(&[8080])].map(Result::unwrap);
    for host in [&*a, &*b, &*p1, &*p2, &*p3, &*outside] {
        let client = host.client().unwrap();
        for (name, target) in [("p1", &*p1), ("b", &*b)] {
            for address in target.addresses() {
                let to = (address, 8080);
                for reply in [client.tcp(to), client.udp(to), client.udp_unconnected(to)] {
                    let reply = reply.unwrap_or_else(|failure| panic!("{} to {to:?}: {failure}", host.name()));
                    assert_eq!(reply.backend(), name);
                    assert_eq!(reply.peer(), Some(to.into()));
                    let own = if host.name() == target.name() {
                        address
                    } else {
                        host.addresses()[usize::from(address.is_ipv6())]
                    };
                    assert_eq!(reply.seen_client().unwrap().ip(), own, "no address is translated on the way");
                }
            }
        }
    }
}

#[test]
fn labs_side_by_side_do_not_meet() {
    let labs = [Lab::new("same").unwrap(), Lab::new("same").unwrap()];
    assert_ne!(labs[0].id(), labs[1].id());
    let hosts: Vec<_> = labs
        .iter()
        .map(|lab| {
            let node = lab.node("a").unwrap();
            let (left, right) = (node.pod("left").unwrap(), node.pod("right").unwrap());
            (left, right)
        })
        .collect();
    assert_eq!(hosts[0].0.v4(), hosts[1].0.v4(), "the same addresses in both");
    let _server = hosts[0].0.serve(&[80]).unwrap();
    let tally = |pod: &harness::lab::Pod| pod.client().unwrap().tally("10.244.1.1:80", 10);
    assert_eq!(tally(&hosts[0].1), BTreeMap::from([("left".to_owned(), 10)]));
    assert_eq!(tally(&hosts[1].1), BTreeMap::from([("ECONNREFUSED".to_owned(), 10)]));
}

#[test]
fn nothing_stays_after_a_panic() {
    let seen = std::sync::Mutex::new((String::new(), 0));
    let outcome = panic::catch_unwind(|| {
        let lab = Lab::new("panic").unwrap();
        let node = lab.node("a").unwrap();
        let pod = node.pod("p1").unwrap();
        // A process without a handle, as a test may leave behind.
        let mut shell = Command::new("sh");
        shell.args(["-c", "setsid sleep 1000 & echo $!"]).stdout(Stdio::piped());
        let mut process = pod.spawn(shell).unwrap();
        let mut line = String::new();
        BufReader::new(process.take_stdout().unwrap()).read_line(&mut line).unwrap();
        *seen.lock().unwrap() = (lab.id().to_owned(), line.trim().parse().unwrap());
        assert!(runs(seen.lock().unwrap().1));
        fs::create_dir_all(Path::new(BPFFS).join(node.instance())).unwrap();
        assert!(traces(lab.id()).len() >= 5, "namespaces, their mounts, cgroup, pins");
        let _server = pod.serve(&[80]).unwrap();
        panic::resume_unwind(Box::new("a failed test"));
    });
    assert!(outcome.is_err());
    let (id, pid) = seen.into_inner().unwrap();
    assert!(!runs(pid));
    assert_eq!(traces(&id), Vec::<String>::new());
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_lab() {
    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let id = format!("wl{}-0-dead", ended.id());
    let cgroup = cgroup_mount_point().unwrap().join(format!("waggle-lab-{id}"));
    let living = Lab::new("living").unwrap();
    // Other tests make labs and sweep at the same time.
    let lock = lock_machine().unwrap();
    fs::create_dir_all(cgroup.join("a/p1")).unwrap();
    assert!(Command::new("ip").args(["netns", "add", &format!("{id}-a")]).status().unwrap().success());
    fs::create_dir_all(Path::new(BPFFS).join(format!("{id}-a"))).unwrap();
    fs::create_dir_all(std::env::temp_dir().join(format!("waggle-lab-{id}"))).unwrap();
    assert_eq!(traces(&id).len(), 5, "namespace and its mount, cgroup, pins, files");
    drop(lock);
    let _next = Lab::new("next").unwrap();
    assert_eq!(traces(&id), Vec::<String>::new());
    assert!(!traces(living.id()).is_empty(), "labs of living processes stay");
}

#[test]
#[ignore = "is killed by a_killed_run_leaves_no_process"]
fn child_that_holds_a_lab() {
    let lab = Lab::new("child").unwrap();
    let server = lab.node("a").unwrap().pod("p1").unwrap().serve(&[80]).unwrap();
    println!("\nlab {} server {}", lab.id(), server.id());
    // Waits until the parent ends.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_killed_run_leaves_no_process() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "--nocapture", "labs::hosts::child_that_holds_a_lab"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.starts_with("lab ")).unwrap();
    let words: Vec<_> = line.split(' ').collect();
    let (id, server) = (words[1], words[3].parse().unwrap());
    assert!(runs(server) && !traces(id).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(eventually(Duration::from_secs(2), || !runs(server)), "its processes die with it");
    let _next = Lab::new("next").unwrap();
    assert_eq!(traces(id), Vec::<String>::new());
}

#[test]
fn processes_are_in_their_cgroup_and_namespace() {
    let lab = Lab::new("places").unwrap();
    let node = lab.node("a").unwrap();
    let pod = node.pod("p1").unwrap();
    for host in [&*node, &*pod] {
        let client = host.client().unwrap();
        let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", client.id())).unwrap();
        let relative = host.cgroup().strip_prefix(cgroup_mount_point().unwrap()).unwrap();
        assert!(cgroups.lines().any(|line| line == format!("0::/{}", relative.display())), "{cgroups}");
        let namespace = fs::metadata(format!("/proc/{}/ns/net", client.id())).unwrap();
        let named = fs::metadata(Path::new("/run/netns").join(host.netns().name())).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::ino(&namespace), std::os::unix::fs::MetadataExt::ino(&named));
    }
    assert!(pod.cgroup().starts_with(node.cgroup()) && node.cgroup().starts_with(lab.cgroup()));
}

#[test]
fn a_process_outlives_the_thread_that_started_it_and_ends_when_dropped() {
    let lab = Lab::new("threads").unwrap();
    let node = lab.node("a").unwrap();
    let mut sleep = Command::new("sleep");
    sleep.arg("1000");
    let process = std::thread::scope(|scope| scope.spawn(|| node.spawn(sleep).unwrap()).join().unwrap());
    let pid = process.id();
    assert!(!eventually(Duration::from_millis(50), || !runs(pid)), "still there without its thread");
    drop(process);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "killed and reaped");
    // A process that kills itself, which the lab does not expect, is handled too.
    let mut sleep = Command::new("sleep");
    sleep.arg("1000");
    let mut process = node.spawn(sleep).unwrap();
    kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(!process.wait(Duration::from_secs(5)).unwrap().success());
}

#[test]
fn capture_sees_exactly_what_takes_the_default_route() {
    let lab = Lab::new("capture").unwrap();
    let node = lab.node("a").unwrap();
    let (p1, p2) = (node.pod("p1").unwrap(), node.pod("p2").unwrap());
    let client = p1.client().unwrap();
    let _server = p2.serve(&[80]).unwrap();
    let away =
        Dial::new(Transport::UdpUnconnected, "10.96.99.99:53".parse().unwrap()).timeout(Duration::from_millis(1));
    let (outcomes, packets) =
        node.capture("eth0", "host 10.96.99.99", || client.dial_all(&away.clone().count(20))).unwrap();
    assert_eq!(outcomes.len(), 20);
    let sent = packets.iter().filter(|line| line.contains("> 10.96.99.99.53")).count();
    assert_eq!(sent, 20, "{packets:#?}");
    let (reply, packets) = node.capture("eth0", "tcp port 80", || client.tcp((p2.v4(), 80))).unwrap();
    assert!(reply.is_ok());
    assert_eq!(packets, Vec::<String>::new(), "pods of one node meet on the node");
}
