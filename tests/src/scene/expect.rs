//! What clients see, in all the ways that a client can dial.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use crate::lab::{Client, Dial, Manner, eventually};

/// Every way to dial.
pub const MANNERS: [Manner; 3] = [Manner::Tcp, Manner::UdpConnected, Manner::UdpUnconnected];

/// How long a change may take to be obeyed on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

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

/// How conversations end. A client must believe to talk to the one it has dialled.
fn ways(client: &Client, manner: Manner, to: SocketAddr, backends: usize) -> BTreeSet<String> {
    let dial = Dial::new(manner, to).count(EACH * backends).timeout(Duration::from_millis(500));
    let outcomes = client.dial_all(&dial);
    let way = |outcome: &Result<crate::lab::Reply, crate::lab::Failure>| match outcome {
        Ok(reply) if reply.peer() == Some(to) || to.ip().is_unspecified() => reply.backend().to_owned(),
        Ok(reply) => format!("{} as {:?}", reply.backend(), reply.peer()),
        Err(failure) => failure.errno.clone(),
    };
    outcomes.iter().map(way).collect()
}
