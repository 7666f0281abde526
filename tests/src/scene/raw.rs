//! Packets that no socket of their sender knows: forged ones, late duplicates, and those of a protocol that the kernel lacks.

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::Family;
use crate::{lab::Netns, packet::Packet};

/// The length of the Ethernet header.
const ETHERNET: usize = 14;

/// Sends a packet from inside a namespace, by its routes.
pub fn send_raw(netns: &Netns, family: Family, packet: &Packet) {
    let frame = packet.bytes(family);
    // A raw socket ignores the port of the address.
    let to = SocketAddr::new(packet.destination.place.address(family), 0);
    let send = || {
        let socket = Socket::new(Domain::for_address(to), Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
        socket.send_to(&frame[ETHERNET..], &to.into())
    };
    netns.inside(send).expect("enter a namespace").expect("send a packet");
}
