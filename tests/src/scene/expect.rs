//! What clients see, in all the ways that a client can dial.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use crate::lab::{Client, Dial, Manner, eventually};

/// Every way to dial.
pub const MANNERS: [Manner; 3] = [Manner::Tcp, Manner::UdpConnected, Manner::UdpUnconnected];

/// How long a change may take to be obeyed, hangs of single conversations included.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is not answered by then hangs. Connections send again by themselves, of which this leaves room for two times; half a
/// second was less than what a server waits for a processor beside eighteen others that work.
const HANG: Duration = Duration::from_secs(5);

/// A datagram that is not answered by then is lost, as some are while backends change.
const LOST: Duration = Duration::from_secs(2);

/// Enough conversations per expected backend: of three, one is missed in a row with a chance of 1 in 700,000.
const EACH: usize = 12;

/// Waits until conversations with `to`, in every manner, end in exactly the ways `wanted`: backends' names, and names
/// of errors. Afterwards nothing else may happen any more.
///
/// # Panics
/// When it does not come to that.
#[track_caller]
pub fn expect(client: &Client, to: SocketAddr, wanted: &[&str]) {
    for manner in MANNERS {
        expect_by(client, manner, to, wanted);
    }
}

/// The same in one manner.
///
/// # Panics
/// When it does not come to that.
#[track_caller]
pub fn expect_by(client: &Client, manner: Manner, to: SocketAddr, wanted: &[&str]) {
    let wanted = set(wanted);
    let mut seen = BTreeSet::new();
    let agrees = eventually(PATIENCE, || {
        seen = ways(client, manner, to, wanted.len());
        seen == wanted
    });
    assert!(agrees, "{manner:?} to {to}: seen {seen:?}, wanted {wanted:?}");
    let after = ways(client, manner, to, wanted.len());
    assert!(after.is_subset(&wanted), "{manner:?} to {to}: seen {after:?} after {wanted:?}");
}

/// Conversations with `to`, in every manner, end in the ways `wanted` already, and in no other.
///
/// # Panics
/// When they do not.
#[track_caller]
pub fn hold(client: &Client, to: SocketAddr, wanted: &[&str]) {
    let wanted = set(wanted);
    for manner in MANNERS {
        let seen = ways(client, manner, to, wanted.len());
        assert_eq!(seen, wanted, "{manner:?} to {to}");
    }
}

fn set(wanted: &[&str]) -> BTreeSet<String> {
    wanted.iter().map(|way| (*way).to_owned()).collect()
}

/// The end of a conversation that hangs.
const HUNG: &str = "ETIMEDOUT";

/// How conversations end. A client must believe to talk to the one it has dialled.
fn ways(client: &Client, manner: Manner, to: SocketAddr, backends: usize) -> BTreeSet<String> {
    let is_datagram = matches!(manner, Manner::UdpConnected | Manner::UdpUnconnected);
    let dial = Dial::new(manner, to).timeout(if is_datagram { LOST } else { HANG });
    let way = |outcome: &Result<crate::lab::Reply, crate::lab::Failure>| match outcome {
        Ok(reply) if reply.peer() == Some(to) || to.ip().is_unspecified() => reply.backend().to_owned(),
        Ok(reply) => format!("{} as {:?}", reply.backend(), reply.peer()),
        Err(failure) => failure.errno.clone(),
    };
    let mut ways = BTreeSet::new();
    for _ in 0..EACH * backends {
        // One that hangs says enough.
        if !ways.contains(HUNG) {
            ways.insert(way(&client.dial(&dial)));
        }
    }
    ways
}
