use super::{check::check, *};
use crate::scene::Family;

const HERE: Place = Place::new([192, 0, 2, 1], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
const THERE: Place = Place::new([198, 51, 100, 7], [0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 7]);

fn samples() -> Vec<Packet> {
    let segment = || tcp(HERE.at(40000), THERE.at(80));
    let datagram = || udp(HERE.at(53), THERE.at(40000)).payload_length(41);
    vec![
        segment().syn(),
        segment().data().tcp_options(&[2, 4, 5, 180, 1, 1, 1, 1]),
        segment().fin().tos(0xb8).flow_label(0x12345).ttl(1).identification(7),
        segment().data().options(&[7, 7, 4, 0, 0, 0, 0, 0]),
        segment().data().vlans(&[100]),
        segment().data().vlans(&[100, 200]),
        segment().data().extension(Extension::HopByHop { units: 1 }).extension(Extension::Destination { units: 3 }),
        segment().data().extension(Extension::Routing { units: 3, left: 0 }),
        segment().ack().padded(6),
        datagram(),
        datagram().fragment(0..24),
        datagram().fragment(24..49),
        sctp(HERE.at(9), THERE.at(10)),
        echo_request(HERE, THERE),
        echo_request(HERE, THERE).answered(),
        icmp_error(HERE, THERE, ErrorKind::TooBig(1400), segment().data()),
        icmp_error(HERE, THERE, ErrorKind::PortUnreachable, datagram()).quoting(100),
        other(47, HERE, THERE),
    ]
}

#[test]
fn another_parser_finds_lengths_and_checksums_right() {
    for family in Family::BOTH {
        for packet in samples() {
            let seen = check(&packet.bytes(family)).unwrap_or_else(|error| panic!("{error} in {packet:?}"));
            assert_eq!(seen.source, packet.source.place.address(family));
            assert_eq!(seen.destination, packet.destination.place.address(family));
            assert_eq!((seen.ttl, seen.protocol), (packet.ttl, packet.protocol(family)));
            if let Some(ports) = seen.ports {
                assert_eq!(ports, (packet.source.port, packet.destination.port));
            }
        }
    }
}

#[test]
fn wrong_checksums_are_wrong() {
    for family in Family::BOTH {
        for packet in samples() {
            let frame = packet.clone().wrong_checksum().bytes(family);
            let has_none = packet.fragment.is_some() || matches!(packet.content, Content::Other { .. });
            assert_eq!(check(&frame).is_ok(), has_none, "{packet:?}");
        }
    }
    assert!(check(&samples()[0].clone().wrong_header_checksum().bytes(Family::Ipv4)).is_err());
}

#[test]
fn fragments_of_a_packet_are_the_packet() {
    let whole = udp(HERE.at(1), THERE.at(2)).payload_length(56);
    for (family, headers) in [(Family::Ipv4, 34), (Family::Ipv6, 62)] {
        let bytes = [0..24, 24..64].map(|range| whole.clone().fragment(range).bytes(family)[headers..].to_vec());
        let start = if family == Family::Ipv4 { 34 } else { 54 };
        assert_eq!(bytes.concat(), whole.bytes(family)[start..]);
    }
}

#[test]
fn a_known_packet_has_its_known_bytes() {
    let packet = udp("10.0.0.1:1", "10.0.0.2:2").payload(&[0xab]).no_checksum().identification(0);
    let expected = [
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0xfe, 8, 0, 0x45, 0, 0, 29, 0, 0, 0x40, 0, 64, 17, 0x26, 0xce, 10, 0, 0, 1,
        10, 0, 0, 2, 0, 1, 0, 2, 0, 9, 0, 0, 0xab,
    ];
    assert_eq!(packet.bytes(Family::Ipv4), expected);
    assert_eq!(packet.truncated(20).bytes(Family::Ipv4), expected[..20]);
    assert_eq!(crc32c(b"123456789"), 0xe306_9283_u32.to_le_bytes());
}
