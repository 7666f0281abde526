//! Jumbo frames.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::net::SocketAddr;

use harness::{
    lab::{Kind, Netns, TIMEOUT},
    scene::{Outside, from_outside, over_both},
};

/// The MTU of all links on the way of jumbo frames.
const JUMBO: u16 = 9000;
const MUCH: u64 = 64 << 20;
/// Bytes that, with the longest network header and UDP's, fill such a frame.
const DATAGRAM: usize = JUMBO as usize - 48;

fn widen(netns: &Netns, devices: &[&str]) {
    let commands: Vec<_> = devices.iter().map(|device| format!("link set dev {device} mtu {JUMBO}")).collect();
    netns.batch(&commands).unwrap();
}

/// Makes a transfer, and sends a datagram that fills a frame, through `web`'s node port, which this pod echoes.
fn transfer(outside: &Outside, to: SocketAddr) {
    outside.client.bulk(to, None, MUCH).unwrap();
    let socket = outside.client.open(if to.is_ipv4() { Kind::Udp4 } else { Kind::Udp6 }, None).unwrap();
    let text: String = ('a'..='z').cycle().take(DATAGRAM).collect();
    for _ in 0..20 {
        socket.send_to(to, &text).unwrap();
        let message = socket.receive(TIMEOUT).unwrap();
        assert_eq!((message.text.as_str(), message.from), (text.as_str(), Some(to)));
    }
}

#[test]
fn s28_jumbo_frames_pass() {
    from_outside("jumbo", |outside| {
        let near = outside.scene.pod(1);
        widen(outside.scene.lab.fabric(), &["to-a", "to-b", "to-ext", "br0"]);
        widen(outside.scene.node.netns(), &["eth0", "pod-p1"]);
        widen(outside.other.netns(), &["eth0", "pod-far"]);
        for netns in [near.netns(), outside.remote.netns(), outside.host.netns()] {
            widen(netns, &["eth0"]);
        }
        over_both(|family| {
            for pod in [near, &outside.remote] {
                outside.serve_echo(family, pod);
                let work = || transfer(outside, outside.node_port(family));
                let ((), seen) = pod.capture("eth0", "udp", work).unwrap();
                // When a fragment is incomplete, tcpdump prints that its length is bad.
                let whole = seen.iter().filter(|line| line.ends_with(&format!("UDP, length {DATAGRAM}"))).count();
                assert_eq!(whole, 40, "{}: whole datagrams: {seen:#?}", pod.name());
            }
            outside.scene.delete("Service", "web");
        });
    });
}
