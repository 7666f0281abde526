//! Devices that carry IP packets without Ethernet: tunnels. A thread of the test is between the ends and moves packets
//! as a VPN's process would.

#![expect(unsafe_code, reason = "ioctl(2) of tun devices")]

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd as _,
    thread,
};

use harness::{
    lab::{Dial, Host, Node, Transport},
    scene::{Family, NODE_PORT, Outside, Setup, TRANSPORTS, expect, expect_by, from_outside_by, over_both, until},
};

use super::*;

const BULK: u64 = 10 << 20;
/// The bytes that are transferred on an emulated machine.
pub(super) const FEW: u64 = 1 << 20;

/// Opens a tunnel's end. Its device exists as long as the file is open.
fn open(netns: &Netns, name: &str) -> File {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    /// `IFF_TUN | IFF_NO_PI`: packets without a header of the device's.
    const FLAGS: libc::c_short = 0x1001;
    let make = || {
        let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
        // SAFETY: plain numbers.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *place = byte.cast_signed();
        }
        request.ifr_ifru.ifru_flags = FLAGS;
        // SAFETY: the kernel reads and writes one `ifreq`.
        let made = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) };
        if made < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
    };
    netns.inside(make).unwrap().unwrap()
}

/// Makes a tunnel `t0` between two hosts, with addresses that end in 1 and 2.
fn join(here: &Netns, there: &Netns) {
    let ends = [(here, 1), (there, 2)].map(|(netns, number)| {
        let file = open(netns, "t0");
        raise(netns, number);
        file
    });
    for (from, to) in [(0, 1), (1, 0)] {
        let (mut from, mut to) = (ends[from].try_clone().unwrap(), ends[to].try_clone().unwrap());
        thread::spawn(move || {
            let mut packet = vec![0; 1 << 16];
            // The devices are removed with the lab, which ends these threads.
            while let Ok(length) = from.read(&mut packet) {
                let _ = to.write(&packet[..length]);
            }
        });
    }
}

/// Gives `t0` its addresses and switches it on.
pub(super) fn raise(netns: &Netns, number: u8) {
    ip(
        netns,
        &[
            &format!("address add {}/30 dev t0", address(Family::Ipv4, number)),
            &format!("address add {}/126 dev t0 nodad", address(Family::Ipv6, number)),
            "link set dev t0 up",
        ],
    );
}

pub(super) fn address(family: Family, number: u8) -> IpAddr {
    let text = if family == Family::Ipv4 { format!("198.51.100.{number}") } else { format!("fd00:53::{number}") };
    text.parse().unwrap()
}

/// Waits until the device is served, by TC, and the reason says why.
fn expect_bare(outside: &Outside, device: &str) {
    let row = || device_row(&outside.scene.get("devices"), device);
    until(device, || row().is_some());
    let row = row().unwrap();
    assert_eq!(row["mode"], "tc");
    assert!(row["why"].as_str().unwrap().contains("no Ethernet frames"), "{row}");
}

/// A kind of tunnel, and what makes a tunnel `t0` of it from the node.
type Join<'a> = (&'a str, &'a dyn Fn(&Outside));

/// Checks each kind of tunnel to `far` in turn; each is removed before the next one is made.
fn by_turns(outside: &Outside, far: &Netns, joins: &[Join<'_>], check: impl Fn()) {
    for (number, (kind, join)) in joins.iter().enumerate() {
        if number > 0 {
            ip(outside.scene.node.netns(), &["link delete dev t0"]);
            ip(far, &["link delete dev t0"]);
            until("the last tunnel is forgotten", || device_row(&outside.scene.get("devices"), "t0").is_none());
        }
        eprintln!("{kind}");
        join(outside);
        expect_bare(outside, "t0");
        check();
    }
}

/// A client behind a tunnel dials node ports.
fn node_ports(name: &str, bulk: u64, joins: &[Join<'_>]) {
    let setup = Setup::new(name).args(["--nodeport-addresses", "198.51.100.0/24,fd00:53::/64"]);
    let check = |outside: &Outside, family| {
        let to = SocketAddr::new(address(family, 1), NODE_PORT);
        let backends = [outside.scene.pod(1), &outside.remote];
        outside.serve(family, &outside.web(family), &backends);
        expect(&outside.client, to, &["p1", "far"]);
        for pod in backends {
            outside.echo_by(family, pod);
            until("an echo", || outside.client.tcp(to).is_ok_and(|reply| reply.message.text == "hello"));
            outside.client.bulk(to, None, bulk).unwrap();
        }
        outside.serve_by(family, &[]);
        for transport in [Transport::Tcp, Transport::UdpConnected] {
            expect_by(&outside.client, transport, to, &["ECONNREFUSED"]);
        }
        outside.scene.delete("Service", "web");
    };
    from_outside_by("auto", setup, |outside| {
        by_turns(outside, outside.host.netns(), joins, || over_both(|family| check(outside, family)));
    });
}

/// Backends on the other node are reached through the tunnel alone.
fn lead_through(node: &Node, number: u8, gateway: u8) {
    let (v4, v6) = (address(Family::Ipv4, gateway), address(Family::Ipv6, gateway));
    ip(
        node.netns(),
        &[
            &format!("route replace 10.244.{number}.0/24 via {v4} dev t0"),
            &format!("route replace fd00:10:244:{number:x}::/64 via {v6} dev t0"),
        ],
    );
}

/// Clients on Ethernet dial backends behind a tunnel.
fn backends(name: &str, bulk: u64, joins: &[Join<'_>]) {
    let check = |outside: &Outside, family| {
        outside.serve(family, &outside.web(family), &[&outside.remote]);
        for to in outside.frontends(family) {
            expect(&outside.client, to, &["far"]);
            for transport in TRANSPORTS {
                let reply = outside.client.dial(&Dial::new(transport, to)).unwrap();
                assert_eq!(reply.seen_client().unwrap().ip(), address(family, 1), "{transport:?} to {to}");
            }
        }
        outside.serve_echo(family, &outside.remote);
        outside.client.bulk(outside.node_port(family), None, bulk).unwrap();
        outside.scene.delete("Service", "web");
    };
    from_outside_by("auto", name, |outside| {
        by_turns(outside, outside.other.netns(), joins, || {
            lead_through(&outside.scene.node, outside.other.number(), 2);
            lead_through(&outside.other, outside.scene.node.number(), 1);
            over_both(|family| check(outside, family));
        });
    });
}

#[test]
fn w11_node_ports_are_served_over_a_tunnel() {
    let join = |outside: &Outside| join(outside.scene.node.netns(), outside.host.netns());
    node_ports("tun-client", BULK, &[("tun", &join)]);
}

#[test]
fn w11_backends_behind_a_tunnel_answer_clients_on_ethernet() {
    let join = |outside: &Outside| join(outside.scene.node.netns(), outside.other.netns());
    backends("tun-backend", BULK, &[("tun", &join)]);
}

/// A tunnel of the kernel, which carries IPv4 and IPv6 in IPv6 (RFC 2473).
fn join_by_kernel(here: &Host, there: &Host) {
    for (number, near, far) in [(1, here, there), (2, there, here)] {
        let (local, remote) = (near.v6(), far.v6());
        let kind = format!("ip6tnl mode any local {local} remote {remote} encaplimit none");
        ip(near.netns(), &[&format!("link add name t0 type {kind}")]);
        raise(near.netns(), number);
    }
}

#[test]
#[ignore = "this kernel may have no such tunnels: cargo xtask vm runs it"]
fn w11_node_ports_are_served_over_tunnels_of_the_kernel() {
    let ip6tnl = |outside: &Outside| join_by_kernel(&outside.scene.node, &outside.host);
    node_ports(
        "tnl-client",
        FEW,
        &[("ip6tnl", &ip6tnl), ("sit", &ipip::to_client), ("WireGuard", &wireguard::to_client)],
    );
}

#[test]
#[ignore = "this kernel may have no such tunnels: cargo xtask vm runs it"]
fn w11_backends_behind_tunnels_of_the_kernel_answer_clients_on_ethernet() {
    let ip6tnl = |outside: &Outside| join_by_kernel(&outside.scene.node, &outside.other);
    backends("tnl-backend", FEW, &[("ip6tnl", &ip6tnl), ("sit", &ipip::to_other), ("WireGuard", &wireguard::to_other)]);
}
