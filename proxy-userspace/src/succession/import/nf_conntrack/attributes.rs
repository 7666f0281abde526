//! Parses the attributes of a flow. Unknown attributes are skipped. Pure.

use std::net::IpAddr;

use proxy_common::Tuple;

use super::KernelFlow;
use crate::node::netfilter::find;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;

const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;

const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;

const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;

const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
/// TCP_CONNTRACK_TIME_WAIT and TCP_CONNTRACK_CLOSE.
const OVER: [u8; 2] = [7, 8];

/// Returns the flow that these attributes describe; `None` if it lacks a tuple, a port or the timeout.
pub(in super::super) fn read(attributes: &[u8]) -> Option<KernelFlow> {
    let end = find(attributes, CTA_TIMEOUT)?;
    Some(KernelFlow {
        packet: read_tuple(&find(attributes, CTA_TUPLE_ORIG)?)?,
        reply: read_tuple(&find(attributes, CTA_TUPLE_REPLY)?)?,
        timeout: u32::from_be_bytes(end.try_into().ok()?),
        is_over: read_state(attributes).is_some_and(|state| OVER.contains(&state)),
    })
}

fn read_state(attributes: &[u8]) -> Option<u8> {
    let tcp = find(&find(attributes, CTA_PROTOINFO)?, CTA_PROTOINFO_TCP)?;
    find(&tcp, CTA_PROTOINFO_TCP_STATE)?.first().copied()
}

fn read_tuple(attributes: &[u8]) -> Option<Tuple> {
    let (ip, proto) = (find(attributes, CTA_TUPLE_IP)?, find(attributes, CTA_TUPLE_PROTO)?);
    let address = |v4, v6| {
        let v4 = find(&ip, v4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(IpAddr::from);
        v4.or_else(|| find(&ip, v6).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(IpAddr::from))
    };
    let port = |kind| find(&proto, kind).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok()).map(u16::from_be_bytes);
    Some(Tuple {
        source: address(CTA_IP_V4_SRC, CTA_IP_V6_SRC)?.into(),
        destination: address(CTA_IP_V4_DST, CTA_IP_V6_DST)?.into(),
        source_port: port(CTA_PROTO_SRC_PORT)?,
        destination_port: port(CTA_PROTO_DST_PORT)?,
        protocol: find(&proto, CTA_PROTO_NUM)?.first().copied()?,
        ..Tuple::default()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns an attribute as the kernel writes it. Nested ones have NLA_F_NESTED in their kind.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
        attribute(1 << 15 | kind, &parts.concat())
    }

    fn tuple(kind: u16, addresses: &[Vec<u8>; 2], ports: &[u16]) -> Vec<u8> {
        let mut proto = vec![attribute(CTA_PROTO_NUM, &[6])];
        let kinds = [CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT];
        proto.extend(ports.iter().zip(kinds).map(|(port, kind)| attribute(kind, &port.to_be_bytes())));
        nested(kind, &[nested(CTA_TUPLE_IP, addresses), nested(CTA_TUPLE_PROTO, &proto)])
    }

    fn ipv4() -> [Vec<u8>; 2] {
        [attribute(CTA_IP_V4_SRC, &[198, 51, 100, 1]), attribute(CTA_IP_V4_DST, &[192, 0, 2, 1])]
    }

    fn state(number: u8) -> Vec<u8> {
        nested(CTA_PROTOINFO, &[nested(CTA_PROTOINFO_TCP, &[attribute(CTA_PROTOINFO_TCP_STATE, &[number])])])
    }

    #[test]
    fn a_flow_needs_both_tuples_with_ports_and_an_end() {
        let end = attribute(CTA_TIMEOUT, &7_u32.to_be_bytes());
        let [packet, reply] = [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY].map(|kind| tuple(kind, &ipv4(), &[40000, 80]));
        let whole = [attribute(3, &[0; 4]), packet.clone(), reply.clone(), end.clone(), state(3)];
        let expected = Tuple {
            source: [198, 51, 100, 1].into(),
            destination: [192, 0, 2, 1].into(),
            source_port: 40000,
            destination_port: 80,
            protocol: 6,
            ..Tuple::default()
        };
        assert_eq!(
            read(&whole.concat()),
            Some(KernelFlow { packet: expected, reply: expected, timeout: 7, is_over: false })
        );
        for parts in [[&packet, &reply], [&packet, &end], [&reply, &end]] {
            assert_eq!(read(&[parts[0].as_slice(), parts[1]].concat()), None);
        }
        assert_eq!(read(&[tuple(CTA_TUPLE_ORIG, &ipv4(), &[1]), reply.clone(), end.clone()].concat()), None);
        assert!(read(&[packet, reply, end, state(7)].concat()).unwrap().is_over);
    }

    #[test]
    fn both_families_are_read() {
        let [source, destination] =
            ["2001:db8::1", "2001:db8::2"].map(|text| text.parse::<std::net::Ipv6Addr>().unwrap());
        let addresses = [attribute(CTA_IP_V6_SRC, &source.octets()), attribute(CTA_IP_V6_DST, &destination.octets())];
        let nested = tuple(CTA_TUPLE_ORIG, &addresses, &[1, 2]);
        let found = read_tuple(&find(&nested, CTA_TUPLE_ORIG).unwrap()).unwrap();
        assert_eq!((found.source, found.destination), (source.into(), destination.into()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }
    }
}
