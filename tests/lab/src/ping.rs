//! ICMP echo requests, without the program ping, which may not be installed.

use std::{
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Identifier and sequence number, which identify our reply.
const MARK: [u8; 4] = [0x77, 0x61, 0x00, 0x01];

/// Sends one request and waits for a reply from the address that it was sent to.
pub(super) fn ping(to: IpAddr, timeout: Duration) -> io::Result<bool> {
    let protocol = if to.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let mut socket = Socket::new(Domain::for_address(SocketAddr::new(to, 0)), Type::RAW, Some(protocol))?;
    // The socket is connected, so it receives nothing from other addresses.
    socket.connect(&SocketAddr::new(to, 0).into())?;
    let (request, reply) = if to.is_ipv4() { (8, 0) } else { (128, 129) };
    let start = Instant::now();
    socket.send(&message(request))?;
    let mut packet = [0; 256];
    while let Some(left) = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut packet) {
            Ok(length) => {
                // An IPv4 raw socket sees the network header, too.
                let header = if to.is_ipv4() { usize::from(packet[0] & 0xf) * 4 } else { 0 };
                let icmp = packet[..length].get(header..).unwrap_or_default();
                if icmp.first() == Some(&reply) && icmp.get(4..8) == Some(&MARK) {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// An echo request; the kernel fills in the checksum for IPv6.
fn message(kind: u8) -> [u8; 8] {
    let sum = u32::from(kind) << 8;
    let words = u32::from(u16::from_be_bytes([MARK[0], MARK[1]])) + u32::from(u16::from_be_bytes([MARK[2], MARK[3]]));
    let folded = (sum + words) % 0xffff;
    let [high, low] = (!u16::try_from(folded).unwrap_or_default()).to_be_bytes();
    [kind, 0, high, low, MARK[0], MARK[1], MARK[2], MARK[3]]
}
