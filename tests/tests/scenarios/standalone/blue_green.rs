//! A switch from one version of the servers to the next, by two edits, under load.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use harness::{
    lab::{Client, TIMEOUT, Transport, typed::Page},
    load::{End, Tally},
    scene::{expect_by, until},
};

use super::Machine;

/// What users dial, and the next version.
const SHOP: &str = "192.168.50.1:8000";
const NEXT: &str = "192.168.50.1:8001";

const BLUE: [&str; 2] = ["blue-1", "blue-2"];
const GREEN: [&str; 2] = ["green-1", "green-2"];

/// How many conversations to wait for between two steps.
const SOME: usize = 100;

fn expect(client: &Client, to: &str, servers: &[&str]) {
    expect_by(client, Transport::Tcp, to.parse().unwrap(), servers);
}

/// Connects again and again. After the switch, an answer of blue is a fault.
fn load(client: &Client, tally: &Tally, is_switched: &AtomicBool) {
    tally.repeat(|| {
        let was_switched = is_switched.load(Ordering::SeqCst);
        match client.tcp(SHOP) {
            Ok(reply) if was_switched && BLUE.contains(&reply.backend()) => tally.fault("a new connection got blue"),
            Ok(_) => tally.answer(),
            Err(failure) => tally.fault(&format!("{failure:?}")),
        }
    });
}

fn wait_for_some(tally: &Tally) {
    let before = tally.answers();
    until("more conversations", || tally.answers() >= before + SOME || !tally.is_clean());
}

#[test]
fn an_endpoint_slice_that_moves_takes_new_connections_with_it_and_none_fails() {
    let machine = Machine::start(
        "blue-green",
        &[
            ("blue-1", &["192.168.50.21:8080"]),
            ("blue-2", &["192.168.50.22:8080"]),
            ("green-1", &["192.168.50.31:8080"]),
            ("green-2", &["192.168.50.32:8080"]),
        ],
    );
    let Machine { local, outside, .. } = &machine;
    let everywhere =
        |to, backends: &[&str]| [local, outside].into_iter().for_each(|client| expect(client, to, backends));
    everywhere(SHOP, &BLUE);
    everywhere(NEXT, &GREEN);
    let [enter] = Page::Standalone.commands("Blue and green", "cd ").unwrap();
    let [add_green, remove_blue] =
        Page::Standalone.commands("Blue and green", "sed ").unwrap().map(|edit| format!("{enter} && {edit}"));
    let old = outside.connect_tcp(SHOP).unwrap();
    let (tally, is_switched) = (Tally::new(), AtomicBool::new(false));
    let loads = [machine.node.client().unwrap(), machine.laptop.client().unwrap()];
    thread::scope(|scope| {
        let _end = End(&tally);
        for client in &loads {
            scope.spawn(|| load(client, &tally, &is_switched));
        }
        wait_for_some(&tally);
        machine.edit(&add_green);
        everywhere(SHOP, &[BLUE, GREEN].concat());
        wait_for_some(&tally);
        machine.edit(&remove_blue);
        everywhere(SHOP, &GREEN);
        is_switched.store(true, Ordering::SeqCst);
        wait_for_some(&tally);
    });
    tally.check("while the slices moved");
    old.send("still there?").unwrap();
    assert!(BLUE.contains(&old.receive(TIMEOUT).unwrap().backend()), "an open connection stays");
    everywhere(NEXT, &BLUE);
}
