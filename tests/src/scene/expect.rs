//! Waiting for conditions, and for what clients see in all the ways that a client can dial.

use std::{collections::BTreeSet, net::SocketAddr, thread, time::Duration};

use crate::lab::{Client, Dial, Transport, eventually};

/// Every way to dial.
pub const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::UdpConnected, Transport::UdpUnconnected];

/// How long a change may take to be in force or in the log before a scenario fails, hangs of single conversations
/// included.
pub const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// A conversation without an answer by then hangs. A connection retransmits by itself, and has time to do so twice.
/// Half a second was too short: a server waited longer for a processor beside eighteen other processes.
const HANG: Duration = Duration::from_secs(5);

/// A datagram without an answer by then is lost, as some are while backends change.
const LOST: Duration = Duration::from_secs(2);

/// Conversations for each expected backend and one more, which a list that is not in force yet may have. With three backends, all
/// conversations in a row miss one with a probability of 1 in 90 million. 12 for one backend were not enough: a list of two that
/// was about to change gave the same one 12 times.
const EACH: usize = 12;

/// Time between two conversations when datagrams are refused. A node's stack refuses them by ICMP errors, of which the
/// kernel sends a namespace (before Linux 6.13 the whole machine) 50 at once and 1000 a second, give or take the random
/// amount that each is charged: `icmp_global_allow` in net/ipv4/icmp.c. Two rounds of conversations are about 50, and
/// the client would see one that is kept back as a hang.
const BETWEEN_REFUSALS: Duration = Duration::from_millis(4);

/// Waits until `condition` holds; panics when it does not within [`WAIT_LIMIT`].
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(eventually(WAIT_LIMIT, condition), "not seen within {WAIT_LIMIT:?}: {what}");
}

/// Waits until conversations with `to`, over every transport, end in exactly the ways `wanted`: backends' names, and names
/// of errors. From then on only these may occur.
#[track_caller]
pub fn expect(client: &Client, to: SocketAddr, wanted: &[&str]) {
    for transport in TRANSPORTS {
        expect_by(client, transport, to, wanted);
    }
}

/// Waits as [`expect()`] does, over one transport.
#[track_caller]
pub fn expect_by(client: &Client, transport: Transport, to: SocketAddr, wanted: &[&str]) {
    let wanted = set(wanted);
    let mut seen = BTreeSet::new();
    let agrees = eventually(WAIT_LIMIT, || {
        seen = ways(client, transport, to, wanted.len());
        seen == wanted
    });
    assert!(agrees, "{transport:?} to {to}: seen {seen:?}, wanted {wanted:?}");
    let after = ways(client, transport, to, wanted.len());
    assert!(after.is_subset(&wanted), "{transport:?} to {to}: seen {after:?} after {wanted:?}");
}

/// Checks without waiting that conversations with `to`, over every transport, end in the ways `wanted` and in no other.
#[track_caller]
pub fn hold(client: &Client, to: SocketAddr, wanted: &[&str]) {
    let wanted = set(wanted);
    for transport in TRANSPORTS {
        let seen = ways(client, transport, to, wanted.len());
        assert_eq!(seen, wanted, "{transport:?} to {to}");
    }
}

fn set(wanted: &[&str]) -> BTreeSet<String> {
    wanted.iter().map(|way| (*way).to_owned()).collect()
}

/// The name for the end of a conversation that hangs.
const HUNG: &str = "ETIMEDOUT";

/// How conversations end. A client must see the address that it has dialled as its peer.
fn ways(client: &Client, transport: Transport, to: SocketAddr, backends: usize) -> BTreeSet<String> {
    let is_datagram = matches!(transport, Transport::UdpConnected | Transport::UdpUnconnected);
    let dial = Dial::new(transport, to).timeout(if is_datagram { LOST } else { HANG });
    let way = |outcome: &Result<crate::lab::Reply, crate::lab::Failure>| match outcome {
        Ok(reply) if reply.peer() == Some(to) || to.ip().is_unspecified() => reply.backend().to_owned(),
        Ok(reply) => format!("{} as {:?}", reply.backend(), reply.peer()),
        Err(failure) => failure.errno.clone(),
    };
    let mut ways = BTreeSet::new();
    for _ in 0..EACH * (backends + 1) {
        // One that hangs is enough.
        if !ways.contains(HUNG) {
            let outcome = client.dial(&dial);
            if is_datagram && outcome.is_err() {
                thread::sleep(BETWEEN_REFUSALS);
            }
            ways.insert(way(&outcome));
        }
    }
    ways
}
