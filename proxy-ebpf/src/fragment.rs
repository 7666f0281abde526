//! Fragments: only the first one has ports, which are remembered for the later ones; these often follow within microseconds
//! (S28).

use proxy_common::{DropReason, Fragment, FragmentPorts, Headers, Part, Verdict};

use crate::{
    clock::now_jiffies,
    lookup::Lookup as _,
    maps::{FRAGMENTS, JIFFIES_PER_SECOND},
    service::is_service,
};

/// How long ports are remembered, seconds: as long as the kernel waits for fragments (net.ipv4.ipfrag_time).
const LIFETIME: u32 = 30;

#[inline(always)]
fn key(headers: &Headers) -> Fragment {
    Fragment {
        source: headers.tuple.source,
        destination: headers.tuple.destination,
        identification: headers.identification,
        protocol: headers.tuple.protocol,
        _pad: [0; 3],
    }
}

/// Remembers the ports of a first fragment, before it is sent on; does nothing for other packets.
#[inline(always)]
pub fn remember(headers: &Headers) -> Result<(), Verdict> {
    if headers.part() == Part::First
        && !insert(&key(headers), headers.tuple.source_port, headers.tuple.destination_port)
    {
        return Err(Verdict::Drop(DropReason::FragmentOutOfOrder));
    }
    Ok(())
}

#[inline(never)]
fn insert(key: &Fragment, source_port: u16, destination_port: u16) -> bool {
    let expires = now_jiffies().wrapping_add(LIFETIME * JIFFIES_PER_SECOND.load());
    FRAGMENTS.insert(key, FragmentPorts { source_port, destination_port, expires }, 0).is_ok()
}

/// Gives a later fragment the ports of its first one. If they are not known, a fragment to a Service is dropped, and one to the
/// node itself passes.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "either half is meant")]
pub fn recall(headers: &mut Headers, class: u8) -> Result<(), Verdict> {
    let ports = read(&key(headers));
    if ports == 0 {
        return Err(if is_service(&headers.tuple.destination, class) {
            Verdict::Drop(DropReason::FragmentOutOfOrder)
        } else {
            Verdict::Pass
        });
    }
    (headers.tuple.source_port, headers.tuple.destination_port) = ((ports >> 16) as u16, ports as u16);
    Ok(())
}

/// The ports of the first fragment, with the source port in the upper half. 0 if the first fragment has not come, or came too
/// long ago. Ports that are both 0 look the same.
#[inline(never)]
fn read(key: &Fragment) -> u32 {
    let Some(ports) = FRAGMENTS.get_shared(key) else { return 0 };
    let ports = ports.read();
    if ports.expires.wrapping_sub(now_jiffies()).cast_signed() <= 0 {
        return 0;
    }
    u32::from(ports.source_port) << 16 | u32::from(ports.destination_port)
}
