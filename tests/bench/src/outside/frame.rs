//! The packets of a flood, and sockets that establish their flows.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use super::shared::{FLOWS, FRAME};

/// Source port of flow 0. Its low bits are 0; it is neither a node port nor one that hosts choose.
const FIRST_PORT: u16 = 30_016;
const _: () = assert!(FIRST_PORT.is_multiple_of(FLOWS));

const ETHERNET: usize = 14;
const UDP: usize = 34;
const DATA: usize = 42;

/// Lengths in the headers of IPv4 and UDP.
const LENGTH: u8 = 50;
const UDP_LENGTH: u8 = 30;
const _: () = assert!(ETHERNET + LENGTH as usize == FRAME && UDP + UDP_LENGTH as usize == FRAME);

/// How long to wait for an answer, and how often to ask for it.
const WAIT_LIMIT: Duration = Duration::from_millis(500);
const TRIES: usize = 6;

/// The packet of flow 0, in words as they are in memory, from `client` to a port of `node`, whose Ethernet address is
/// `device`.
pub fn words(client: Ipv4Addr, node: SocketAddrV4, device: [u8; 6]) -> [u64; FRAME / 8] {
    let bytes = frame(client, node, device);
    let word = |index: usize| u64::from_ne_bytes(std::array::from_fn(|byte| bytes[index * 8 + byte]));
    std::array::from_fn(word)
}

fn frame(client: Ipv4Addr, node: SocketAddrV4, device: [u8; 6]) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    frame[..6].copy_from_slice(&device);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0x65, 0]);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, LENGTH, 0, 0, 0x40, 0, 64, 17]);
    frame[26..30].copy_from_slice(&client.octets());
    frame[30..34].copy_from_slice(&node.ip().octets());
    let header = !sum(&frame[ETHERNET..UDP], 0);
    frame[24..26].copy_from_slice(&header.to_be_bytes());
    frame[34..36].copy_from_slice(&FIRST_PORT.to_be_bytes());
    frame[36..38].copy_from_slice(&node.port().to_be_bytes());
    frame[38..40].copy_from_slice(&[0, UDP_LENGTH]);
    // A flow subtracts here what it adds to the port.
    frame[DATA..DATA + 2].copy_from_slice(&[0xff, 0xff]);
    let checksum = !sum(&frame[26..], 17 + u32::from(UDP_LENGTH));
    frame[40..42].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// Ones' complement sum of words in network byte order, and a first summand (RFC 1071).
fn sum(bytes: &[u8], first: u32) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = words.fold(first, |sum, word| sum + word);
    // The remainder is 0 where the sum is 0xffff, which no packet here has.
    u16::try_from(sum % 0xffff).unwrap_or_default()
}

/// Sends a packet of every flow there and back, so that the flows are established. Call it on the client.
pub fn establish(client: Ipv4Addr, to: SocketAddrV4) -> io::Result<()> {
    (0..FLOWS).try_for_each(|flow| {
        let socket = UdpSocket::bind((client, FIRST_PORT + flow))?;
        socket.set_read_timeout(Some(WAIT_LIMIT))?;
        socket.connect(to)?;
        let turn = || socket.send(&[1]).and_then(|_| socket.recv(&mut [0])).map(drop);
        // The first packets may be lost while neighbours are resolved.
        (1..TRIES).fold(turn(), |outcome, _| outcome.or_else(|_| turn()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flow_has_right_checksums() {
        let node = SocketAddrV4::new(Ipv4Addr::new(192, 168, 50, 1), 10_002);
        let first = words(Ipv4Addr::new(192, 168, 50, 101), node, [2; 6]);
        for flow in 0..FLOWS {
            let mut words = first;
            words[4] |= u64::from(flow.to_be()) << 16;
            words[5] ^= u64::from(flow.to_be()) << 16;
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            assert_eq!(sum(&bytes[ETHERNET..UDP], 0), 0, "flow {flow}");
            assert_eq!(sum(&bytes[26..], 17 + 30), 0, "flow {flow}");
            assert_eq!(u16::from_be_bytes([bytes[34], bytes[35]]), FIRST_PORT + flow);
        }
    }
}
