//! The frames of a pcapng file.

use std::{
    io::Read,
    net::{IpAddr, SocketAddr},
};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::pcapng::{
    Block, PcapNgReader,
    blocks::{
        enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
        interface_description::InterfaceDescriptionOption,
        opt_common::CommonOption,
    },
};

/// A TCP or UDP frame of the file.
#[derive(Clone, Debug)]
pub struct Frame {
    pub interface: String,
    pub comment: String,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub is_syn: bool,
    pub is_reset: bool,
    /// Whether the checksum of a TCP segment is wrong.
    pub is_bad: bool,
}

/// Reads the frames of a file. That of a running capture may end in the middle of a block.
pub fn frames(file: impl Read) -> Vec<Frame> {
    let Ok(mut reader) = PcapNgReader::new(file) else { return Vec::new() };
    let (mut interfaces, mut frames) = (Vec::new(), Vec::new());
    while let Some(Ok((block, _))) = reader.next_block() {
        match block {
            Block::InterfaceDescription(interface) => interfaces.push(interface.into_owned().options),
            Block::EnhancedPacket(packet) => frames.extend(frame(&packet, &interfaces)),
            _ => {}
        }
    }
    frames
}

fn frame(packet: &EnhancedPacketBlock<'_>, interfaces: &[Vec<InterfaceDescriptionOption<'_>>]) -> Option<Frame> {
    let interface = interfaces[packet.interface_id as usize].iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
        _ => None,
    });
    let comment = packet.options.iter().find_map(|option| match option {
        EnhancedPacketOption::Common(CommonOption::Comment(text)) => Some(text.to_string()),
        _ => None,
    });
    let parsed = SlicedPacket::from_ethernet(&packet.data).ok()?;
    let (source, destination): (IpAddr, IpAddr) = match parsed.net.as_ref()? {
        NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Arp(_) => return None,
    };
    let (ports, is_syn, is_reset, is_bad) = match (parsed.transport.as_ref()?, parsed.net.as_ref()?) {
        (TransportSlice::Tcp(tcp), net) => {
            let (header, payload) = (tcp.to_header(), tcp.payload());
            let right = match net {
                NetSlice::Ipv4(ip) => header.calc_checksum_ipv4(&ip.header().to_header(), payload),
                NetSlice::Ipv6(ip) => header.calc_checksum_ipv6(&ip.header().to_header(), payload),
                NetSlice::Arp(_) => return None,
            };
            let is_bad = right.ok()? != header.checksum;
            ((header.source_port, header.destination_port), header.syn, header.rst, is_bad)
        }
        (TransportSlice::Udp(udp), _) => ((udp.source_port(), udp.destination_port()), false, false, false),
        _ => return None,
    };
    let (source, destination) = (SocketAddr::new(source, ports.0), SocketAddr::new(destination, ports.1));
    Some(Frame { interface: interface?, comment: comment?, source, destination, is_syn, is_reset, is_bad })
}
