//! Large transfers from outside: much, through narrow links, and in datagrams larger than a link takes. Contents are
//! compared.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{env, net::IpAddr, process::Command};

use harness::{
    lab::{Kind, Netns, Node, TIMEOUT},
    scene::{Family, Outside, from_outside_over_both},
};

/// How much is sent each way, MiB, unless the environment says more: 10240 has been tried.
const MEBIBYTES: &str = "WAGGLE_LAB_BULK_MIB";
const USUAL: u64 = 256;

/// Enough to fill the windows of a narrow link many times over.
const SOME: u64 = 8 << 20;

/// The MTU of a link that is narrower than its neighbours.
const NARROW: u16 = 1400;

/// How many lines of tcpdump show that `by` has reported a packet as too big to `client`.
fn too_big(by: IpAddr, client: IpAddr, lines: &[String]) -> usize {
    let ends = format!("{by} > {client}: ");
    let (v4, v6) =
        (format!("ICMP {by} unreachable - need to frag (mtu {NARROW})"), format!("packet too big, mtu {NARROW}"));
    lines.iter().filter(|line| line.contains(&ends) && (line.contains(&v4) || line.contains(&v6))).count()
}

const TOO_BIG: &str = "(icmp and icmp[0] == 3) or (icmp6 and ip6[40] == 2)";

/// Makes the route to `to` through `via` narrow, also for forwarded packets.
fn narrow(netns: &Netns, to: IpAddr, via: &str) {
    let bits = if to.is_ipv4() { 32 } else { 128 };
    netns.batch(&[format!("route replace {to}/{bits} {via} mtu lock {NARROW}")]).unwrap();
}

/// Makes the route to `to` as wide as the devices again.
fn widen(netns: &Netns, to: IpAddr, via: &str) {
    let bits = if to.is_ipv4() { 32 } else { 128 };
    netns.batch(&[format!("route replace {to}/{bits} {via}")]).unwrap();
}

#[test]
fn s26_bulk_arrives_as_it_was_sent() {
    let bytes = env::var(MEBIBYTES).map_or(USUAL, |text| text.parse().unwrap()) << 20;
    from_outside_over_both("bulk", |outside, family| {
        for pod in [outside.scene.pod(1), &outside.remote] {
            outside.serve_echo(family, pod);
            let elapsed = outside.client.bulk(outside.node_port(family), None, bytes).unwrap();
            println!("{} MiB each way to {} in {elapsed:?}", bytes >> 20, pod.name());
        }
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s28_the_client_learns_of_a_narrow_link_before_the_backend() {
    from_outside_over_both("mtu-there", |outside, family| {
        outside.serve_echo(family, &outside.remote);
        let (to, pod) = (outside.node_port(family), family.of(&outside.remote));
        let via = |node: &Node| if pod.is_ipv4() { node.v4().to_string() } else { node.v6().to_string() };
        let (here, there) = (outside.scene.node.netns(), outside.other.netns());
        // First the other node's route is narrow, then this node's.
        let links = [(there, "dev pod-far".to_owned()), (here, format!("via {}", via(&outside.other)))];
        for (netns, way) in links {
            narrow(netns, pod, &way);
            let transfer = || outside.client.bulk(to, None, SOME);
            let (transferred, captured) = outside.host.capture("eth0", TOO_BIG, transfer).unwrap();
            transferred.unwrap_or_else(|failure| panic!("{way}: {failure}: {captured:#?}"));
            assert!(too_big(to.ip(), outside.address(family), &captured) > 0, "{way}: {captured:#?}");
            widen(netns, pod, &way);
            forget(outside);
        }
        outside.scene.delete("Service", "web");
    });
}

/// Makes the client forget what it has learned of narrow links.
fn forget(outside: &Outside) {
    let flush = |family| Command::new("ip").args([family, "route", "flush", "cache"]).status().unwrap().success();
    assert!(outside.host.netns().inside(|| flush("-4") && flush("-6")).unwrap());
}

/// An address of the client that is reached through the lab's router.
fn behind(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => "198.51.100.7".parse().unwrap(),
        Family::Ipv6 => "2001:db8:9::7".parse().unwrap(),
    }
}

#[test]
fn s28_the_backend_learns_of_a_narrow_link_before_the_client() {
    from_outside_over_both("mtu-here", |outside, family| {
        let client = behind(family);
        let bits = if client.is_ipv4() { 32 } else { 128 };
        outside.host.netns().batch(&[format!("address add {client}/{bits} dev lo")]).unwrap();
        let fabric = outside.scene.lab.fabric();
        narrow(fabric, client, &format!("via {} dev br0", outside.address(family)));
        let to = outside.node_port(family);
        for pod in [outside.scene.pod(1), &outside.remote] {
            outside.serve_echo(family, pod);
            let transfer = || outside.client.bulk(to, Some(client), SOME);
            let (outcome, lines) = pod.capture("eth0", TOO_BIG, transfer).unwrap();
            outcome.unwrap();
            // The address that the backend sees as its client's.
            let known = if pod.node_name() == "a" { client } else { family.of(&outside.scene.node) };
            assert!(too_big(known, family.of(pod), &lines) > 0, "{lines:#?}");
        }
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s28_datagrams_arrive_in_fragments_both_ways() {
    from_outside_over_both("fragments", |outside, family| {
        let to = outside.node_port(family);
        for pod in [outside.scene.pod(1), &outside.remote] {
            outside.serve_echo(family, pod);
            for length in [1000, 4000, 9000] {
                let text: String = ('a'..='z').cycle().skip(length % 26).take(length).collect();
                let socket = outside.client.open(if to.is_ipv4() { Kind::Udp4 } else { Kind::Udp6 }, None).unwrap();
                for _ in 0..20 {
                    socket.send_to(to, &text).unwrap();
                    let message = socket.receive(TIMEOUT).unwrap();
                    assert_eq!((message.text.as_str(), message.from), (text.as_str(), Some(to)));
                }
            }
        }
        outside.scene.delete("Service", "web");
    });
}
