//! The watch on a namespace's addresses, against this kernel.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{collections::BTreeSet, net::IpAddr, process::Command, thread, time::Duration};

use nix::sched::{CloneFlags, unshare};
use proxy_userspace::{node::addresses, objects::LocalAddresses};
use tokio::{runtime, sync::watch::Receiver, time::timeout};

/// Runs `ip` in the calling thread's namespace.
fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

/// Runs `scenario` beside a watch, on a thread with its own network namespace and a pair of devices that are up.
fn watched<F: Future<Output = ()>>(scenario: impl FnOnce(Watch) -> F + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            for command in [
                "link set lo up",
                "link add a0 index 10 type veth peer name b0 index 11",
                "link set a0 up",
                "link set b0 up",
            ] {
                ip(command);
            }
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (sender, receiver) = tokio::sync::watch::channel(LocalAddresses::default());
                let mut watch = Watch { receiver };
                // This test has no receiver for routes: what is reported of them is lost.
                let (routes, _) = tokio::sync::mpsc::channel(1);
                let scenario = async {
                    timeout(Duration::from_secs(10), watch.receiver.changed()).await.expect("a first report").unwrap();
                    scenario(watch).await;
                };
                tokio::select! {
                    ended = addresses::watch(sender, routes) => panic!("the watch has ended: {ended:?}"),
                    () = scenario => {}
                }
            });
        });
        thread.join().unwrap();
    });
}

/// What the watch has reported.
struct Watch {
    receiver: Receiver<LocalAddresses>,
}

impl Watch {
    /// Waits until exactly these addresses are reported.
    async fn expect(&mut self, all: &[&str], primary: &[&str]) {
        let wanted = LocalAddresses { all: set(all), primary: set(primary), ..LocalAddresses::default() };
        let is_wanted = |now: &LocalAddresses| now.all == wanted.all && now.primary == wanted.primary;
        let found = timeout(Duration::from_secs(10), self.receiver.wait_for(is_wanted)).await;
        assert!(found.is_ok_and(|found| found.is_ok()), "{wanted:?} is wanted, {:?} is there", self.receiver.borrow());
    }
}

#[test]
fn s19_addresses_are_followed() {
    watched(|mut watch| async move {
        watch.expect(&[], &[]).await;
        ip("addr add 192.0.2.10/24 dev a0");
        ip("addr add fd00::10/64 dev a0 nodad");
        watch.expect(&["192.0.2.10", "fd00::10"], &["192.0.2.10", "fd00::10"]).await;
        ip("addr add 10.9.9.9/32 dev lo");
        ip("addr add fd00::11/64 dev b0 nodad preferred_lft 0");
        watch.expect(&["192.0.2.10", "10.9.9.9", "fd00::10", "fd00::11"], &["192.0.2.10", "fd00::10"]).await;
        ip("addr del 192.0.2.10/24 dev a0");
        watch.expect(&["10.9.9.9", "fd00::10", "fd00::11"], &["10.9.9.9", "fd00::10"]).await;
        ip("link del a0");
        watch.expect(&["10.9.9.9"], &["10.9.9.9"]).await;
    });
}

#[test]
fn s19_default_route_decides_primary() {
    watched(|mut watch| async move {
        ip("addr add 192.0.2.10/24 dev a0");
        ip("addr add 198.51.100.10/24 dev b0");
        ip("addr add 198.51.100.11/24 dev b0");
        let all = ["192.0.2.10", "198.51.100.10", "198.51.100.11"];
        ip("route add default via 192.0.2.1 dev a0 metric 20");
        watch.expect(&all, &["192.0.2.10"]).await;
        ip("route add default via 198.51.100.1 dev b0 metric 10");
        watch.expect(&all, &["198.51.100.10"]).await;
        ip("route change default via 198.51.100.1 dev b0 metric 10 src 198.51.100.11");
        watch.expect(&all, &["198.51.100.11"]).await;
        // Routes of other tables do not count.
        ip("route add default via 192.0.2.1 dev a0 table 100 metric 1");
        ip("route del default metric 10");
        watch.expect(&all, &["192.0.2.10"]).await;
    });
}

/// Routes by nexthop objects, as FRR makes them, on a machine whose kernel reports only the object's number with a
/// route.
#[test]
fn s19_default_routes_by_nexthop_objects_decide_primary() {
    watched(|mut watch| async move {
        std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0").unwrap();
        ip("addr add 192.0.2.10/24 dev a0");
        ip("addr add 198.51.100.10/24 dev b0");
        let all = ["192.0.2.10", "198.51.100.10"];
        watch.expect(&all, &["192.0.2.10"]).await;
        ip("nexthop add id 1 via 198.51.100.1 dev b0");
        ip("route add default nhid 1 metric 20");
        watch.expect(&all, &["198.51.100.10"]).await;
        ip("nexthop add id 2 via 192.0.2.1 dev a0");
        ip("nexthop add id 3 group 2");
        ip("route add default nhid 3 metric 10");
        watch.expect(&all, &["192.0.2.10"]).await;
        // The routes do not change, only the object does.
        ip("nexthop replace id 2 via 198.51.100.2 dev b0");
        watch.expect(&all, &["198.51.100.10"]).await;
        ip("nexthop replace id 2 via 192.0.2.2 dev a0");
        watch.expect(&all, &["192.0.2.10"]).await;
        // The kernel removes the group and its route without a message.
        ip("nexthop del id 2");
        watch.expect(&all, &["198.51.100.10"]).await;
        ip("nexthop del id 1");
        watch.expect(&all, &["192.0.2.10"]).await;
    });
}

#[test]
fn s19_unproven_addresses_wait() {
    watched(|mut watch| async move {
        // Duplicate address detection takes three seconds.
        std::fs::write("/proc/sys/net/ipv6/conf/b0/dad_transmits", "3").unwrap();
        ip("addr add fd00::1/64 dev b0");
        ip("addr add 192.0.2.10/24 dev a0");
        watch.expect(&["192.0.2.10"], &["192.0.2.10"]).await;
        watch.expect(&["192.0.2.10", "fd00::1"], &["192.0.2.10", "fd00::1"]).await;
    });
}

#[test]
fn s19_duplicate_addresses_are_left_out() {
    watched(|mut watch| async move {
        ip("addr add fd00::1/64 dev a0 nodad");
        ip("addr add fd00::1/64 dev b0");
        let refused = || Command::new("ip").args(["-6", "addr", "show", "dadfailed"]).output().unwrap().stdout;
        timeout(Duration::from_secs(10), async {
            while refused().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the duplicate is found");
        watch.expect(&["fd00::1"], &["fd00::1"]).await;
        ip("addr del fd00::1/64 dev a0");
        watch.expect(&[], &[]).await;
    });
}

#[test]
fn s19_a_device_that_is_down_has_no_usable_address() {
    watched(|mut watch| async move {
        ip("addr add 192.0.2.10/24 dev a0");
        ip("addr add 198.51.100.10/24 dev b0");
        ip("route add default via 198.51.100.1 dev b0");
        watch.expect(&["192.0.2.10", "198.51.100.10"], &["198.51.100.10"]).await;
        ip("link set b0 down");
        watch.expect(&["192.0.2.10"], &["192.0.2.10"]).await;
        ip("link set b0 up");
        // The default route was removed with the device.
        watch.expect(&["192.0.2.10", "198.51.100.10"], &["192.0.2.10"]).await;
    });
}

#[test]
fn s19_a_burst_ends_in_the_truth() {
    watched(|mut watch| async move {
        let addresses: Vec<_> = (0..4000).map(|n| format!("10.{}.{}.1", n / 200, n % 200)).collect();
        let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut input = ip.stdin.take().unwrap();
        for address in &addresses {
            std::io::Write::write_all(&mut input, format!("addr add {address}/32 dev lo\n").as_bytes()).unwrap();
        }
        drop(input);
        // The watch shares this thread and reads nothing during this time, so the kernel's messages overrun its socket.
        assert!(ip.wait().unwrap().success());
        let all: Vec<_> = addresses.iter().map(String::as_str).collect();
        watch.expect(&all, &[all[0]]).await;
    });
}
