//! From a [`Packet`] to the bytes of its frame. Lengths and checksums are right unless the packet says otherwise.

use std::net::IpAddr;

use proxy_common::Tuple;

use super::{
    Content, Packet,
    checksum::{crc32c, internet_checksum, internet_sum},
};
use crate::scene::Family;

/// The difference of wrong checksums to the right ones.
const WRONG: u16 = 0x0101;

impl Packet {
    /// The whole frame.
    ///
    /// # Panics
    /// If a place has no address of the family.
    pub fn bytes(&self, family: Family) -> Vec<u8> {
        let mut frame = Vec::new();
        let ether_type = if family == Family::Ipv4 { 0x0800 } else { 0x86dd };
        self.ethernet.write(&mut frame, ether_type);
        frame.extend(self.network(family).0);
        frame.resize(frame.len() + self.padding, 0);
        frame.truncate(self.length.unwrap_or(frame.len()));
        frame
    }

    /// The key under which programs know the packet's flow.
    ///
    /// # Panics
    /// If a place has no address of the family.
    pub fn tuple(&self, family: Family) -> Tuple {
        let (source, destination) = (self.source.place.address(family), self.destination.place.address(family));
        Tuple {
            source_port: self.source.port,
            destination_port: self.destination.port,
            ..Tuple::from_addresses(source.into(), destination.into(), self.protocol(family))
        }
    }

    /// The IP packet, and how many bytes its headers take.
    pub(super) fn network(&self, family: Family) -> (Vec<u8>, usize) {
        let transport = self.transport(family);
        let range = self.fragment.clone().unwrap_or(0..transport.len());
        let more = range.end < transport.len();
        let end = range.end.min(transport.len());
        let body = &transport[range.start.min(end)..end];
        let mut packet = match family {
            Family::Ipv4 => self.ipv4_header(body.len(), range.start, more),
            Family::Ipv6 => self.ipv6_headers(body.len(), range.start, more),
        };
        let header = packet.len();
        packet.extend(body);
        (packet, header)
    }

    fn ipv4_header(&self, body: usize, offset: usize, more: bool) -> Vec<u8> {
        let length = 20 + self.options.len();
        let flags = u16::from(self.dont_fragment) << 14 | u16::from(more) << 13;
        let fragment = flags | u16::try_from(offset / 8).expect("a small packet");
        let mut header = vec![0x40 | u8::try_from(length / 4).expect("short options"), self.tos];
        header.extend(u16::try_from(length + body).expect("a packet below 64 kB").to_be_bytes());
        header.extend(u16::try_from(self.identification & 0xffff).expect("16 bits").to_be_bytes());
        header.extend(fragment.to_be_bytes());
        header.extend([self.ttl, self.protocol(Family::Ipv4), 0, 0]);
        header.extend(self.addresses(Family::Ipv4));
        header.extend(&self.options);
        patch(&mut header, &self.network_patches);
        let mut checksum = internet_checksum(&header);
        if self.wrong_header_checksum {
            checksum = ones_add(checksum, WRONG);
        }
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header
    }

    fn ipv6_headers(&self, body: usize, offset: usize, more: bool) -> Vec<u8> {
        let mut numbers: Vec<u8> = self.extensions.iter().map(|extension| extension.number()).collect();
        if self.fragment.is_some() {
            numbers.push(44);
        }
        numbers.push(self.protocol(Family::Ipv6));
        let mut extensions = Vec::new();
        for (extension, next) in self.extensions.iter().zip(&numbers[1..]) {
            extension.write(&mut extensions, *next);
        }
        if self.fragment.is_some() {
            extensions.extend([numbers[numbers.len() - 1], 0]);
            extensions.extend((u16::try_from(offset).expect("a small packet") | u16::from(more)).to_be_bytes());
            extensions.extend(self.identification.to_be_bytes());
        }
        let first = 6 << 28 | u32::from(self.tos) << 20 | (self.flow_label & 0xf_ffff);
        let mut header = first.to_be_bytes().to_vec();
        header.extend(u16::try_from(extensions.len() + body).expect("a packet below 64 kB").to_be_bytes());
        header.extend([numbers[0], self.ttl]);
        header.extend(self.addresses(Family::Ipv6));
        header.extend(extensions);
        patch(&mut header, &self.network_patches);
        header
    }

    fn addresses(&self, family: Family) -> Vec<u8> {
        [self.source, self.destination].into_iter().flat_map(|end| octets(end.place.address(family))).collect()
    }

    /// The protocol number of the content.
    pub(super) fn protocol(&self, family: Family) -> u8 {
        match self.content {
            Content::Tcp(_) => 6,
            Content::Udp(_) => 17,
            Content::Sctp(_) => 132,
            Content::Echo(_) | Content::Error { .. } => {
                if family == Family::Ipv4 {
                    1
                } else {
                    58
                }
            }
            Content::Other { protocol } => protocol,
        }
    }

    /// Transport header and payload of the whole packet.
    fn transport(&self, family: Family) -> Vec<u8> {
        let mut bytes = self.transport_header(family);
        bytes.extend(&self.payload);
        patch(&mut bytes, &self.transport_patches);
        let place = match self.content {
            Content::Tcp(_) => 16,
            Content::Udp(udp) if udp.no_checksum => return bytes,
            Content::Udp(_) => 6,
            Content::Echo(_) | Content::Error { .. } => 2,
            Content::Sctp(_) => return self.with_crc(bytes),
            Content::Other { .. } => return bytes,
        };
        let mut checksum = self.checksum(family, &bytes);
        if self.wrong_checksum {
            checksum = ones_add(checksum, WRONG);
        }
        if matches!(self.content, Content::Udp(_)) && checksum == 0 {
            checksum = 0xffff;
        }
        bytes[place..place + 2].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn transport_header(&self, family: Family) -> Vec<u8> {
        let mut header = Vec::new();
        header.extend(self.source.port.to_be_bytes());
        header.extend(self.destination.port.to_be_bytes());
        match &self.content {
            Content::Tcp(tcp) => {
                header.extend(tcp.sequence.to_be_bytes());
                header.extend(tcp.acknowledgement.to_be_bytes());
                header.extend([u8::try_from(20 + tcp.options.len()).expect("short options") << 2, tcp.flags]);
                header.extend(tcp.window.to_be_bytes());
                header.extend([0; 4]);
                header.extend(&tcp.options);
            }
            Content::Udp(_) => {
                header.extend(u16::try_from(8 + self.payload.len()).expect("a datagram below 64 kB").to_be_bytes());
                header.extend([0; 2]);
            }
            Content::Sctp(sctp) => {
                header.extend(sctp.tag.to_be_bytes());
                header.extend([0; 4]);
            }
            Content::Echo(echo) => return echo.header(family),
            Content::Error { kind, quoted, beyond_header } => {
                let (packet, headers) = quoted.network(family);
                let end = packet.len().min(headers + beyond_header);
                return [&kind.header(family), &packet[..end]].concat();
            }
            Content::Other { .. } => header.clear(),
        }
        header
    }

    /// The checksum over the transport part, with a pseudo header where the protocol has one.
    fn checksum(&self, family: Family, bytes: &[u8]) -> u16 {
        let mut summed = Vec::new();
        if family == Family::Ipv6 || !matches!(self.content, Content::Echo(_) | Content::Error { .. }) {
            summed = self.addresses(family);
            summed.extend(u32::try_from(bytes.len()).expect("a packet below 64 kB").to_be_bytes());
            summed.extend([0, 0, 0, self.protocol(family)]);
        }
        summed.extend(bytes);
        internet_checksum(&summed)
    }

    fn with_crc(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let mut crc = crc32c(&bytes);
        if self.wrong_checksum {
            crc[0] ^= 1;
        }
        bytes[8..12].copy_from_slice(&crc);
        bytes
    }
}

fn patch(bytes: &mut [u8], patches: &[(usize, u8)]) {
    for (offset, byte) in patches {
        bytes[*offset] = *byte;
    }
}

fn ones_add(a: u16, b: u16) -> u16 {
    internet_sum(&[a.to_be_bytes(), b.to_be_bytes()].concat())
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
