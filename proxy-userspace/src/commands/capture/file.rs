//! The pcapng file: one interface for each device, hook and direction, and a comment on each packet.

use std::{
    borrow::Cow,
    error::Error,
    io::{self, Write},
    time::Duration,
};

use pcap_file::{
    DataLink,
    pcapng::{
        PcapNgBlock, PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution},
            interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption},
            opt_common::CommonOption,
            section_header::{SectionHeaderBlock, SectionHeaderOption},
        },
    },
};

use super::{
    hook::{Fate, Stage},
    packet::{Bytes, Packet},
};

/// Bits of `epb_flags`.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// An interface of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interface {
    device: String,
    stage: Stage,
    is_sent: bool,
    is_bare: bool,
}

/// A file that is being written.
pub struct PacketFile<W: Write> {
    writer: PcapNgWriter<W>,
    snaplen: u32,
    /// The interfaces, by their numbers, and how many frames each has.
    interfaces: Vec<(Interface, u64)>,
}

impl<W: Write> PacketFile<W> {
    /// Writes the beginning.
    pub fn new(writer: W, snaplen: u32) -> io::Result<Self> {
        let application = concat!("waggle ", env!("CARGO_PKG_VERSION"));
        let options = vec![SectionHeaderOption::UserApplication(application.into())];
        let section = SectionHeaderBlock { options, ..SectionHeaderBlock::default() };
        let writer = PcapNgWriter::with_section_header(writer, section).map_err(cause)?;
        Ok(Self { writer, snaplen, interfaces: Vec::new() })
    }

    /// Writes a packet of a device: as it was received, and as it was sent, if it was. `boot` is the time of the kernel's clock 0.
    pub fn write(&mut self, mut packet: Packet, device: &str, comment: &str, boot: Duration) -> io::Result<()> {
        let (received, sent) = packet.take_bytes();
        let time = |nanoseconds| boot + Duration::from_nanos(nanoseconds);
        self.frame(&packet, device, false, &received, comment, time(packet.captured.received_at))?;
        if let Some(sent) = sent {
            self.frame(&packet, device, true, &sent, comment, time(packet.captured.sent_at))?;
        }
        Ok(())
    }

    fn frame(
        &mut self,
        packet: &Packet,
        device: &str,
        is_sent: bool,
        bytes: &Bytes,
        comment: &str,
        timestamp: Duration,
    ) -> io::Result<()> {
        let interface = Interface { device: device.to_owned(), stage: packet.stage, is_sent, is_bare: packet.is_bare };
        let interface_id = self.interface(interface)?;
        let is_out = packet.stage == Stage::Egress || (is_sent && packet.fate() != Fate::Goes);
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp,
            original_len: bytes.length,
            data: Cow::Borrowed(&bytes.known),
            options: vec![
                EnhancedPacketOption::Flags(if is_out { OUTBOUND } else { INBOUND }),
                EnhancedPacketOption::Common(CommonOption::Comment(comment.into())),
            ],
        };
        self.block(block)
    }

    /// Returns the number of an interface. Describes it in the file first, if it is new.
    fn interface(&mut self, wanted: Interface) -> io::Result<u32> {
        let known = self.interfaces.iter().position(|(interface, _)| *interface == wanted);
        let number = if let Some(number) = known {
            number
        } else {
            self.describe(&wanted)?;
            self.interfaces.push((wanted, 0));
            self.interfaces.len() - 1
        };
        self.interfaces[number].1 += 1;
        u32::try_from(number).map_err(io::Error::other)
    }

    fn describe(&mut self, interface: &Interface) -> io::Result<()> {
        let Interface { device, stage, is_sent, is_bare } = interface;
        let (word, what) = if *is_sent { ("out", "sends, or passes on changed") } else { ("in", "receives") };
        let stage = stage.name();
        let name = format!("{device} {stage} {word}");
        let description = format!("What Waggle's {stage} program on {device} {what}");
        let block = InterfaceDescriptionBlock {
            linktype: if *is_bare { DataLink::RAW } else { DataLink::ETHERNET },
            snaplen: self.snaplen,
            options: vec![
                InterfaceDescriptionOption::IfName(name.into()),
                InterfaceDescriptionOption::IfDescription(description.into()),
                InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
            ],
        };
        self.block(block)
    }

    /// Writes how many frames each interface has. Packets that were lost belong to any of them, and are noted at the first. Returns
    /// the number of all frames.
    pub fn finish(mut self, lost: u64, timestamp: Duration) -> io::Result<u64> {
        let counts: Vec<u64> = self.interfaces.iter().map(|(_, frames)| *frames).collect();
        for (interface_id, frames) in (0..).zip(&counts) {
            let dropped = if interface_id == 0 { lost } else { 0 };
            let options =
                vec![InterfaceStatisticsOption::IsbIfRecv(*frames), InterfaceStatisticsOption::IsbIfDrop(dropped)];
            self.block(InterfaceStatisticsBlock { interface_id, timestamp, options })?;
        }
        self.flush()?;
        Ok(counts.iter().sum())
    }

    /// Hands everything to the reader.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer.get_mut().flush()
    }

    fn block<'a>(&mut self, block: impl PcapNgBlock<'a>) -> io::Result<()> {
        self.writer.write_pcapng_block(block).map(drop).map_err(cause)
    }
}

/// Returns the system's error inside one of the writer's.
fn cause(error: impl Error + Send + Sync + 'static) -> io::Error {
    let inner = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    io::Error::new(inner.map_or(io::ErrorKind::Other, io::Error::kind), error)
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;
    use crate::commands::capture::packet::tests::forwarded;

    /// Writes the same packet twice, and reads the blocks back.
    fn blocks() -> (u64, Vec<Block<'static>>) {
        let mut bytes = Vec::new();
        let mut file = PacketFile::new(&mut bytes, 1500).unwrap();
        for _ in 0..2 {
            file.write(forwarded(), "eth0", "whose it is", Duration::from_secs(1_000_000)).unwrap();
        }
        let frames = file.finish(3, Duration::from_secs(1_000_001)).unwrap();
        let mut reader = PcapNgReader::new(bytes.as_slice()).unwrap();
        let mut blocks = Vec::new();
        while let Some(block) = reader.next_block() {
            blocks.push(block.unwrap().0.into_owned());
        }
        (frames, blocks)
    }

    #[test]
    fn a_packet_is_two_frames_on_two_interfaces_with_its_comment() {
        let (frames, blocks) = blocks();
        let interfaces: Vec<_> = blocks.iter().filter_map(Block::as_interface_description).collect();
        let names: Vec<_> = interfaces.iter().map(|block| block.options[0].clone()).collect();
        let name = |text: &'static str| InterfaceDescriptionOption::IfName(text.into());
        assert_eq!(names, [name("eth0 xdp in"), name("eth0 xdp out")]);
        let packets: Vec<_> = blocks.iter().filter_map(Block::as_enhanced_packet).collect();
        assert_eq!((frames, packets.len()), (4, 4));
        let forwarded = forwarded();
        assert_eq!(packets[0].data, forwarded.received.known);
        assert_eq!(packets[1].data, forwarded.sent.unwrap().known);
        assert_eq!((packets[0].interface_id, packets[1].interface_id), (0, 1));
        assert_eq!(packets[1].timestamp, Duration::from_secs(1_000_000) + Duration::from_micros(2));
        let comment = EnhancedPacketOption::Common(CommonOption::Comment("whose it is".into()));
        for (packet, flags) in packets.iter().zip([INBOUND, OUTBOUND].into_iter().cycle()) {
            assert_eq!(packet.options, [EnhancedPacketOption::Flags(flags), comment.clone()]);
        }
    }

    #[test]
    fn the_end_says_how_many_were_lost() {
        let statistics: Vec<_> = blocks().1.into_iter().filter_map(Block::into_interface_statistics).collect();
        let dropped: Vec<_> = statistics.iter().map(|block| block.options[1].clone()).collect();
        assert_eq!(dropped, [InterfaceStatisticsOption::IsbIfDrop(3), InterfaceStatisticsOption::IsbIfDrop(0)]);
    }
}
