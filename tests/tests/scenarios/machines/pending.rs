//! SCTP whose checksum is pending, as it comes from a container behind a veth (`NETIF_F_SCTP_CRC`). It stays pending
//! when ports are rewritten, as with netfilter, and is 0 for the device that fills it in. The packets are made by
//! hand, so the kernel needs no SCTP.

#![expect(unsafe_code, reason = "raw sockets with an offload header")]

use std::{
    io::{self, Read as _},
    mem::{size_of, zeroed},
    os::fd::AsRawFd as _,
    time::Duration,
};

use harness::{
    lab::Netns,
    objects::{service, slice},
    packet::{End, Mac, Packet, check::check, sctp},
    scene::{Family, NODE_PORT, from_outside_by, over_both, until},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::*;

const BACKEND_PORT: u16 = 9999;
/// A port that source translation may keep.
const FROM_PORT: u16 = 20_001;
/// `ETH_P_ALL`, in network byte order.
const ALL: u16 = 0x0003_u16.to_be();
/// The offset of SCTP's checksum in its header.
const CHECKSUM: u16 = 8;

/// A socket for whole frames.
fn frames(netns: &Netns) -> Socket {
    netns.inside(|| Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ALL))))).unwrap().unwrap()
}

/// Sends a frame by `eth0`; with `pending` the checksum is still to be filled in.
fn send(netns: &Netns, frame: &[u8], transport: u16, pending: bool) -> io::Result<()> {
    const PACKET_VNET_HDR: libc::c_int = 15;
    const NEEDS_CSUM: u8 = 1;
    let socket = frames(netns);
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap();
    // SAFETY: the option is one number.
    let outcome = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, PACKET_VNET_HDR, (&raw const on).cast(), length)
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    // struct virtio_net_hdr: flags, no segments, the start of what is summed, and the offset of the checksum.
    let mut bytes = vec![if pending { NEEDS_CSUM } else { 0 }, 0, 0, 0, 0, 0];
    bytes.extend(transport.to_le_bytes());
    bytes.extend(CHECKSUM.to_le_bytes());
    bytes.extend(frame);
    // SAFETY: plain numbers.
    let mut to: libc::sockaddr_ll = unsafe { zeroed() };
    to.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
    to.sll_ifindex = i32::try_from(netns.inside(|| nix::net::if_::if_nametoindex("eth0")).unwrap()?).unwrap();
    let length = libc::socklen_t::try_from(size_of_val(&to)).unwrap();
    // SAFETY: both lengths are right.
    let count = unsafe {
        libc::sendto(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0, (&raw const to).cast(), length)
    };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The hardware address of `eth0`.
fn mac(netns: &Netns) -> Mac {
    let text = output(netns, "ip -json link show dev eth0");
    let links: Value = serde_json::from_str(&text).unwrap();
    let bytes = links[0]["address"].as_str().unwrap().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap());
    bytes.collect::<Vec<_>>().try_into().unwrap()
}

/// The first frame with SCTP that a socket receives within a moment.
fn receive(mut socket: &Socket, transport: usize) -> Option<Vec<u8>> {
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut frame = [0; 2048];
    loop {
        let length = socket.read(&mut frame).ok()?;
        let protocol = if transport == 34 { 23 } else { 20 };
        if length > transport + 12 && frame[protocol] == 132 {
            return Some(frame[..length].to_vec());
        }
    }
}

/// Makes the backend on the other node serve an SCTP node port.
fn serve(outside: &Outside, family: Family) {
    let kind = format!("IPv{}", family.number());
    let built = service("web").kind("NodePort").cluster_ip(&family.cluster_ip(1).to_string());
    outside.scene.put(&built.named_port("sctp", "SCTP", 80, BACKEND_PORT).node_port(NODE_PORT).build());
    let slice = slice("web").address_type(&kind).named_port("sctp", "SCTP", BACKEND_PORT);
    outside.scene.put(&slice.pod(&outside.remote).build());
}

#[test]
fn w13_a_checksum_that_is_to_be_filled_in_stays_so() {
    from_outside_by("tc", "crc", |outside| {
        over_both(|family| {
            let (client, node) = (outside.host.netns(), outside.scene.node.netns());
            serve(outside, family);
            let from = std::net::SocketAddr::new(outside.address(family), FROM_PORT);
            let init = || -> Packet {
                sctp(End::from(from), End::from(outside.node_port(family))).ethernet(mac(client), mac(node))
            };
            let transport = if family == Family::Ipv4 { 34_u16 } else { 54 };
            let at = usize::from(transport);
            let listener = frames(outside.remote.netns());
            let translated = |frame: &[u8], pending| {
                let mut found = None;
                until("the packet at its backend", || {
                    send(client, frame, transport, pending).unwrap();
                    found = receive(&listener, at);
                    found.is_some()
                });
                let found = found.unwrap();
                let port = u16::from_be_bytes([found[at + 2], found[at + 3]]);
                assert_eq!(port, BACKEND_PORT, "{family:?}: translated");
                found
            };
            let mut frame = init().bytes(family);
            check(&translated(&frame, false)).unwrap();
            while receive(&listener, at).is_some() {}
            frame[at + 8..at + 12].fill(0);
            let found = translated(&frame, true);
            assert_eq!(found[at + 8..at + 12], [0; 4], "{family:?}: still to be filled in");
            outside.scene.delete("Service", "web");
        });
    });
}
