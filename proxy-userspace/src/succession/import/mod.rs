//! Imports the flows that netfilter has translated for another service proxy, as foreign flows: they continue through
//! netfilter until they end. Otherwise their packets would belong to unknown connections.

mod nf_conntrack;

use std::{io, net::IpAddr};

use proxy_common::{ConntrackEntry, EntryMeta, Frontend, State};

use self::nf_conntrack::{KernelFlow, flows};
use crate::{
    maps::{
        MapsError, PinFolder,
        flow_table::{FlowMapNames, FlowTable},
    },
    node::jiffies,
};

/// The longest timeout in jiffies. Times are compared modulo 2³² jiffies, so a timeout must be shorter than half of that.
const LONGEST: u64 = 1 << 30;

/// Why flows can't be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The map can't be opened.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The kernel refused or truncated the list.
    #[error("list the flows of nf_conntrack (run waggle as root; the kernel needs its module nf_conntrack_netlink)")]
    List(#[source] io::Error),
    /// The time in jiffies can't be read.
    #[error("read the kernel's tick")]
    Clock(#[source] io::Error),
}

/// Inserts every flow whose destination, before netfilter translated it, was a Waggle frontend into CONNTRACK, so that its packets
/// pass. Flows that are there already stay as they are. Returns how many were inserted.
pub fn import_flows(folder: &PinFolder, is_frontend: impl Fn(&Frontend) -> bool) -> Result<usize, ImportError> {
    let mut conntrack = FlowTable::open(folder, FlowMapNames::ASSURED)?;
    let per_second = jiffies::per_second().map_err(ImportError::Clock)?;
    let now = jiffies::now().map_err(ImportError::Clock)?;
    let mut count = 0;
    let enter = |flow: KernelFlow| {
        let dialled = Frontend::new(flow.packet.destination, flow.packet.destination_port, flow.packet.protocol);
        if is_translated(&flow) && is_frontend(&dialled) {
            let write = conntrack.insert(&flow.packet, &foreign(&flow, now, per_second));
            count += usize::from(write.is_ok());
        }
    };
    flows(enter).map_err(ImportError::List)?;
    Ok(count)
}

/// Parses the attributes of one flow, for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn read(attributes: &[u8]) {
    let flow = nf_conntrack::read(attributes);
    flow.filter(is_translated).map(|flow| foreign(&flow, u32::MAX, 1000));
}

/// Returns how many flows netfilter has translated: of IPv4, then of IPv6. Flows of hostPorts are among them.
pub(crate) fn count_translated() -> Result<[usize; 2], ImportError> {
    let mut counts = [0; 2];
    let count = |flow: KernelFlow| {
        let is_ipv6 = IpAddr::from(flow.packet.destination).is_ipv6();
        counts[usize::from(is_ipv6)] += usize::from(is_translated(&flow));
    };
    flows(count).map_err(ImportError::List)?;
    Ok(counts)
}

/// Whether replies come from another address or port than the dialled one, and the connection has not ended.
fn is_translated(flow: &KernelFlow) -> bool {
    let dialled = flow.packet.inverse();
    let moved = (flow.reply.source, flow.reply.source_port) != (dialled.source, dialled.source_port);
    moved && !flow.is_over
}

fn foreign(flow: &KernelFlow, now: u32, per_second: u32) -> ConntrackEntry {
    let ticks = (u64::from(flow.timeout) * u64::from(per_second)).min(LONGEST);
    ConntrackEntry {
        source: flow.packet.source,
        destination: flow.packet.destination,
        source_port: flow.packet.source_port,
        destination_port: flow.packet.destination_port,
        meta: EntryMeta {
            expires: now.wrapping_add(u32::try_from(ticks).expect("bounded by 2^30")),
            state: State::Foreign as u8,
            ..EntryMeta::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use proxy_common::Tuple;

    use super::*;

    fn flow() -> KernelFlow {
        let packet = Tuple {
            source: [198, 51, 100, 1].into(),
            destination: [192, 0, 2, 1].into(),
            source_port: 40000,
            destination_port: 30080,
            protocol: 6,
            ..Tuple::default()
        };
        KernelFlow { packet, reply: packet.inverse(), timeout: 100, is_over: false }
    }

    #[test]
    fn only_living_flows_whose_answer_comes_from_elsewhere_are_foreign() {
        let direct = flow();
        assert!(!is_translated(&direct));
        let masqueraded = Tuple { destination: [192, 0, 2, 9].into(), ..direct.reply };
        assert!(!is_translated(&KernelFlow { reply: masqueraded, ..direct }));
        let other_host = KernelFlow { reply: Tuple { source: [10, 0, 0, 1].into(), ..direct.reply }, ..direct };
        let other_port = KernelFlow { reply: Tuple { source_port: 8080, ..direct.reply }, ..direct };
        assert!(is_translated(&other_host) && is_translated(&other_port));
        assert!(!is_translated(&KernelFlow { is_over: true, ..other_host }));
    }

    #[test]
    fn a_foreign_flow_lives_as_long_as_netfilter_says() {
        let entry = foreign(&flow(), u32::MAX, 250);
        assert_eq!((entry.meta.expires, entry.meta.state()), (24_999, State::Foreign));
        assert_eq!(entry.translated(6), flow().packet);
        let endless = foreign(&KernelFlow { timeout: u32::MAX, ..flow() }, 0, 1000);
        assert_eq!(endless.meta.expires, 1 << 30);
    }
}
