//! Many clients, and many ports.

use std::{
    collections::VecDeque,
    fs, io,
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use harness::{
    lab::{Netns, find_program},
    objects::{Cluster as _, service},
    stage::{START, Stage, until},
};

use super::{PORT, TIMEOUT, ask, asked_at, balanced, expect, nodes, put, request};

/// What `work` gives, and how long that takes.
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed(), result)
}

/// A probe that a load balancer sends a moment later: how long it takes, and its status.
fn probe_later(client: &Netns, to: SocketAddr) -> (Duration, io::Result<u16>) {
    thread::sleep(Duration::from_millis(200));
    timed(|| ask(client, to).map(|(status, ..)| status))
}

/// Whether a probe got its 200 before a load balancer would give up.
fn is_answered((took, status): &(Duration, io::Result<u16>)) -> bool {
    *took < Duration::from_secs(1) && status.as_ref().is_ok_and(|status| *status == 200)
}

#[test]
fn n08_who_asks_slowly_or_often_keeps_nobody_from_an_answer() {
    let stage = Stage::new("health-slow");
    let [a] = stage.pods(["a1"]);
    let client = stage.lab.client("lb").unwrap();
    stage.folder.put(&asked_at(balanced("web", 10), PORT));
    put(&stage, "web", &[&a], |slice| slice);
    let _waggle = stage.agent(&[]);
    expect(&stage, client.netns(), 1);
    // More than are served at the same time, and they say nothing.
    let to = nodes(&stage, PORT)[0];
    let connect = || (0..48).map(|_| TcpStream::connect_timeout(&to, TIMEOUT)).collect::<io::Result<Vec<_>>>();
    let silent = client.netns().inside(connect).unwrap().unwrap();
    let asked = ask(client.netns(), to);
    assert!(asked.as_ref().is_ok_and(|(status, ..)| *status == 200), "{asked:?}");
    drop(silent);
    // Services change meanwhile as ever.
    stage.folder.put(&asked_at(balanced("web", 10), PORT + 1));
    until("the change", || ask(client.netns(), nodes(&stage, PORT + 1)[0]).is_ok());
}

#[test]
fn n08_a_crowd_that_says_nothing_keeps_nobody_from_an_answer() {
    let stage = Stage::new("health-mob");
    let [a] = stage.pods(["a1"]);
    let [client, crowd] = ["lb", "crowd"].map(|name| stage.lab.client(name).unwrap());
    stage.folder.put(&asked_at(balanced("web", 10), PORT));
    put(&stage, "web", &[&a], |slice| slice);
    let _waggle = stage.agent(&[]);
    expect(&stage, client.netns(), 1);
    let (to, is_over) = (nodes(&stage, PORT)[0], AtomicBool::new(false));
    // Two hundred new connections a second, of which the last 400 stay open.
    let come = || {
        let mut silent = VecDeque::new();
        while !is_over.load(Ordering::Relaxed) {
            silent.extend(TcpStream::connect_timeout(&to, TIMEOUT));
            silent.drain(..silent.len().saturating_sub(400));
            thread::sleep(Duration::from_millis(5));
        }
    };
    let probes = thread::scope(|scope| {
        scope.spawn(|| crowd.netns().inside(come).unwrap());
        thread::sleep(Duration::from_secs(3));
        let probes: Vec<_> = (0..10).map(|_| probe_later(client.netns(), to)).collect();
        is_over.store(true, Ordering::Relaxed);
        probes
    });
    println!("{probes:?}");
    assert!(probes.iter().all(is_answered), "{probes:?}");
}

#[test]
fn n08_a_flood_of_requests_delays_neither_answers_nor_changes() {
    let stage = Stage::new("health-rush");
    let [a] = stage.pods(["a1"]);
    let [client, crowd] = ["lb", "crowd"].map(|name| stage.lab.client(name).unwrap());
    stage.folder.put(&asked_at(balanced("web", 10), PORT));
    put(&stage, "web", &[&a], |slice| slice);
    let _waggle = stage.agent(&[]);
    expect(&stage, client.netns(), 1);
    let (to, is_over, answered) = (nodes(&stage, PORT)[0], AtomicBool::new(false), AtomicUsize::new(0));
    let flood = || {
        while !is_over.load(Ordering::Relaxed) {
            answered.fetch_add(usize::from(request(to).is_ok()), Ordering::Relaxed);
        }
    };
    let (probes, change) = thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(|| crowd.netns().inside(flood).unwrap())));
        let probes: Vec<_> = (0..20).map(|_| probe_later(client.netns(), to)).collect();
        let (change, ()) = timed(|| {
            put(&stage, "web", &[&a], |slice| slice.node("elsewhere"));
            until("the change", || ask(client.netns(), to).is_ok_and(|(status, ..)| status == 503));
        });
        is_over.store(true, Ordering::Relaxed);
        (probes, change)
    });
    println!("{answered:?} answers in 4 s; probes {probes:?}; change {change:?}");
    assert!(answered.into_inner() > 1000, "the flood is one");
    assert!(probes.iter().all(is_answered), "{probes:?}");
    assert!(change < Duration::from_secs(1), "{change:?}");
}

#[test]
fn n08_more_ports_than_the_soft_limit_of_open_files_are_answered() {
    let stage = Stage::new("health-many");
    let client = stage.lab.client("lb").unwrap();
    let ports: Vec<u16> = (31_000..31_300).collect();
    for port in &ports {
        let service = service(&format!("web{port}")).kind("LoadBalancer").port(80, 8080).external_local();
        stage.folder.put(&asked_at(service, *port));
    }
    let waggle = find_program("waggle", "WAGGLE_BIN").unwrap();
    let limited = stage.folder.allocations().with_file_name("limited");
    fs::write(&limited, format!("#!/bin/sh\nulimit -Sn 200\nexec {} \"$@\"\n", waggle.display())).unwrap();
    fs::set_permissions(&limited, fs::Permissions::from_mode(0o755)).unwrap();
    let waggle = stage.command(&[]).program(&limited).start_unready().unwrap();
    waggle.wait_log(START, |line| line.message() == "serving").unwrap();
    for port in ports {
        until("an answer", || ask(client.netns(), nodes(&stage, port)[0]).is_ok_and(|(status, ..)| status == 503));
    }
}
