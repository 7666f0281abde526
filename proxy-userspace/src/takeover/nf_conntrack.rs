//! Reads netfilter's table of flows of one network namespace over ctnetlink. It does not choose among them.

use std::{fs, io};

use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    conntrack::{
        ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple, Tuple as TuplePart,
    },
};
use proxy_common::Tuple;
use rtnetlink::{
    packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload},
    sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER},
};

/// There only in kernels that have nf_conntrack loaded.
const PRESENT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// The kernel fills datagrams of at most this many bytes.
const DATAGRAM: usize = 64 * 1024;

/// TCP_CONNTRACK_TIME_WAIT and TCP_CONNTRACK_CLOSE (include/uapi/linux/netfilter/nf_conntrack_tcp.h).
const OVER: [u8; 2] = [7, 8];

/// A flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// The client's packet as it arrives.
    pub(super) packet: Tuple,
    /// What answers, as it sends.
    pub(super) answer: Tuple,
    /// Seconds until it ends.
    pub(super) timeout: u32,
    /// A TCP connection that has ended.
    pub(super) is_over: bool,
}

/// Calls `found` with every flow of the calling thread's namespace; without nf_conntrack there is none.
pub(super) fn flows(mut found: impl FnMut(Flow)) -> io::Result<()> {
    if !fs::exists(PRESENT)? {
        return Ok(());
    }
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send_to(&request(), &SocketAddr::new(0, 0), 0)?;
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        socket.recv(&mut buffer, 0)?;
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let message = NetlinkMessage::<NetfilterMessage>::deserialize(rest).map_err(io::Error::other)?;
            match message.payload {
                NetlinkPayload::InnerMessage(NetfilterMessage {
                    inner: NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)),
                    ..
                }) => {
                    if let Some(flow) = read(&attributes) {
                        found(flow);
                    }
                }
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Done(done) if done.code < 0 => return Err(io::Error::from_raw_os_error(-done.code)),
                NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => return Ok(()),
                _ => {}
            }
            rest = rest.get((message.header.length as usize).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

fn request() -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let all = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0);
    let message = NetfilterMessage::new(all, ConntrackMessage::Get(Vec::new()));
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// A flow's attributes; none if it has no ports or no end.
fn read(attributes: &[ConntrackAttribute]) -> Option<Flow> {
    let (mut packet, mut answer, mut timeout, mut is_over) = (None, None, None, false);
    for attribute in attributes {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(parts) => packet = read_tuple(parts),
            ConntrackAttribute::CtaTupleReply(parts) => answer = read_tuple(parts),
            ConntrackAttribute::CtaTimeout(seconds) => timeout = Some(*seconds),
            ConntrackAttribute::CtaProtoInfo(infos) => {
                let mut tcp =
                    infos.iter().flat_map(|info| if let ProtoInfo::TCP(parts) = info { &parts[..] } else { &[] });
                is_over = tcp.any(|part| matches!(part, ProtoInfoTCP::State(state) if OVER.contains(state)));
            }
            _ => {}
        }
    }
    Some(Flow { packet: packet?, answer: answer?, timeout: timeout?, is_over })
}

fn read_tuple(nested: &[TuplePart]) -> Option<Tuple> {
    let mut tuple = Tuple::default();
    // Address, address, protocol, port, port.
    let mut missing = 5;
    for part in nested {
        match part {
            TuplePart::Ip(addresses) => {
                missing -= addresses.iter().filter(|part| read_address(part, &mut tuple)).count();
            }
            TuplePart::Proto(ports) => missing -= ports.iter().filter(|part| read_port(part, &mut tuple)).count(),
            _ => {}
        }
    }
    (missing == 0).then_some(tuple)
}

fn read_address(part: &IPTuple, tuple: &mut Tuple) -> bool {
    match part {
        IPTuple::SourceAddress(address) => tuple.source = (*address).into(),
        IPTuple::DestinationAddress(address) => tuple.destination = (*address).into(),
        _ => return false,
    }
    true
}

fn read_port(attribute: &ProtoTuple, tuple: &mut Tuple) -> bool {
    match attribute {
        ProtoTuple::Protocol(protocol) => tuple.protocol = (*protocol).into(),
        ProtoTuple::SourcePort(port) => tuple.source_port = *port,
        ProtoTuple::DestinationPort(port) => tuple.destination_port = *port,
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use netlink_packet_netfilter::conntrack::Protocol;

    use super::*;

    fn tuple(port: Option<u16>) -> Vec<TuplePart> {
        let addresses = [[198, 51, 100, 1].into(), [192, 0, 2, 1].into()];
        let addresses = vec![IPTuple::SourceAddress(addresses[0]), IPTuple::DestinationAddress(addresses[1])];
        let mut ports = vec![ProtoTuple::Protocol(Protocol::Tcp), ProtoTuple::SourcePort(40000)];
        ports.extend(port.map(ProtoTuple::DestinationPort));
        vec![TuplePart::Ip(addresses), TuplePart::Proto(ports)]
    }

    #[test]
    fn a_flow_needs_both_tuples_with_ports_and_an_end() {
        let whole = vec![
            ConntrackAttribute::CtaTupleOrig(tuple(Some(80))),
            ConntrackAttribute::CtaTupleReply(tuple(Some(80))),
            ConntrackAttribute::CtaTimeout(7),
            ConntrackAttribute::CtaProtoInfo(vec![ProtoInfo::TCP(vec![ProtoInfoTCP::State(3)])]),
        ];
        let flow = read(&whole).unwrap();
        let packet = Tuple {
            source: [198, 51, 100, 1].into(),
            destination: [192, 0, 2, 1].into(),
            source_port: 40000,
            destination_port: 80,
            protocol: 6,
            ..Tuple::default()
        };
        assert_eq!(flow, Flow { packet, answer: packet, timeout: 7, is_over: false });
        for missing in 0..3 {
            let mut part = whole.clone();
            part.remove(missing);
            assert_eq!(read(&part), None);
        }
        let without_port = vec![ConntrackAttribute::CtaTupleOrig(tuple(None)), whole[1].clone(), whole[2].clone()];
        assert_eq!(read(&without_port), None);
        let mut over = whole;
        over[3] = ConntrackAttribute::CtaProtoInfo(vec![ProtoInfo::TCP(vec![ProtoInfoTCP::State(OVER[0])])]);
        assert!(read(&over).unwrap().is_over);
    }
}
