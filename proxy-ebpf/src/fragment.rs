//! Fragments: only the first has ports. They are remembered for the others, which often follow within microseconds
//! (S28).

use proxy_common::{DropReason, Fragment, FragmentPorts, Headers, Part, Verdict};

use crate::{
    clock::now,
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
    if headers.part() == Part::First && !insert(headers) {
        return Err(Verdict::Drop(DropReason::FragmentOutOfOrder));
    }
    Ok(())
}

#[inline(never)]
fn insert(headers: &Headers) -> bool {
    let ports = FragmentPorts {
        source_port: headers.tuple.source_port,
        destination_port: headers.tuple.destination_port,
        expires: now().wrapping_add(LIFETIME * JIFFIES_PER_SECOND.load()),
    };
    FRAGMENTS.insert(key(headers), ports, 0).is_ok()
}

/// The ports of another fragment. Without them it is nobody's: to the node itself it may be the host's own, to a
/// Service's address it is dropped.
#[inline(always)]
pub fn recall(headers: &mut Headers, class: u8) -> Result<(), Verdict> {
    if !read(headers) {
        return Err(if is_service(&headers.tuple.destination, class) {
            Verdict::Drop(DropReason::FragmentOutOfOrder)
        } else {
            Verdict::Pass
        });
    }
    Ok(())
}

/// Sets the ports that the first fragment had; false when it has not come, or too long ago.
#[inline(never)]
fn read(headers: &mut Headers) -> bool {
    // SAFETY: the value is copied before anything else runs.
    let Some(ports) = unsafe { FRAGMENTS.get(key(headers)) }.copied() else { return false };
    headers.tuple.source_port = ports.source_port;
    headers.tuple.destination_port = ports.destination_port;
    ports.expires.wrapping_sub(now()).cast_signed() > 0
}
