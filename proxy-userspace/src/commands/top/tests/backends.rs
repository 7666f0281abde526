use std::time::Instant;

use proxy_common::{Connection, ConntrackEntry, EntryMeta, State, Tuple};

use super::*;
use crate::commands::{get::Tracked, top::backends::backends};

/// A socket that is connected to `web` by the backend 10.1.0.`last`.
fn connection(last: u8) -> Connection {
    let at = |text: &str, port| Frontend::new(address(text), port, Protocol::Tcp as u8);
    Connection { frontend: at("10.96.0.10", 80), backend: at(&format!("10.1.0.{last}"), 8080) }
}

/// A flow of packets to `web` by the backend 10.1.0.2, in a state.
fn flow(client_port: u16, state: State) -> (Tuple, ConntrackEntry) {
    let tuple = Tuple {
        source: address("10.1.0.2"),
        destination: address("192.0.2.9"),
        source_port: 8080,
        destination_port: client_port,
        protocol: Protocol::Tcp as u8,
        ..Tuple::default()
    };
    let entry = ConntrackEntry {
        source: address("10.96.0.10"),
        destination: address("192.0.2.9"),
        source_port: 80,
        destination_port: client_port,
        meta: EntryMeta { service: WEB, state: state as u8, flags: EntryMeta::REPLY, ..EntryMeta::default() },
    };
    (tuple, entry)
}

#[test]
fn chances_are_parts_of_each_list() {
    let sample = sample(Instant::now(), 0, &[], &[]);
    let shown: Vec<_> =
        backends(&sample, &web()).into_iter().map(|one| (one.address, one.is_local, one.cluster, one.local)).collect();
    let expected = [
        ("10.1.0.1:8080".to_owned(), false, Some(0.5), None),
        ("10.1.0.2:8080".to_owned(), true, Some(0.5), Some(1.0)),
    ];
    assert_eq!(shown, expected);
    assert_eq!(backends(&sample, &cart()), []);
    assert_eq!(backends(&sample, &port("default", "gone", "")), []);
}

#[test]
fn flows_are_counted_also_those_of_backends_that_have_left_the_lists() {
    let mut sample = sample(Instant::now(), 0, &[], &[]);
    assert!(backends(&sample, &web()).iter().all(|backend| backend.flows.is_none()), "they have not been read");
    let sockets = [2, 2, 9, 2].into_iter().zip(1..).map(|(last, cookie)| (cookie, connection(last))).collect();
    sample.tracked = Some(Tracked { sockets, ..Tracked::default() });
    let shown: Vec<_> =
        backends(&sample, &web()).into_iter().map(|one| (one.address, one.flows, one.cluster)).collect();
    let expected = [
        ("10.1.0.2:8080".to_owned(), Some(3), Some(0.5)),
        ("10.1.0.9:8080".to_owned(), Some(1), None),
        ("10.1.0.1:8080".to_owned(), Some(0), Some(0.5)),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn flows_that_have_ended_are_not_open() {
    let mut sample = sample(Instant::now(), 0, &[], &[]);
    let states = [State::New, State::Established, State::ClientClosed, State::Closed, State::Reset];
    let packets = (4000..).zip(states).map(|(port, state)| flow(port, state)).collect();
    sample.tracked = Some(Tracked { packets, ..Tracked::default() });
    assert_eq!(backends(&sample, &web())[0].flows, Some(3));
}

#[test]
fn a_backend_that_the_maps_lack_is_shown_by_its_id() {
    let mut sample = sample(Instant::now(), 0, &[], &[]);
    sample.snapshot.backends.remove(&1);
    assert!(backends(&sample, &web()).iter().any(|backend| backend.address == "id=1"));
}
