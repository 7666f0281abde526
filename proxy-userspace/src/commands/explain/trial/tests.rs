use std::collections::BTreeMap;

use proxy_common::{Counter, Frontend, Protocol};

use super::{
    super::{
        client::Client,
        explanation::{Explanation, SourcePort},
        tests::fixture::{dialled, explained, memories, outside},
        text::text,
    },
    Action, Decided, Layer, Made, Seen, Trial, compare, decide, part,
};
use crate::commands::explain::exit_code;

const CLIENT: &str = "192.0.2.9:62000";

fn seen(source: &str, destination: &str) -> Seen {
    Seen {
        ethernet: [2; 6],
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        is_reset: false,
    }
}

fn trial(to: Frontend, decided: Decided) -> Trial {
    let destination = super::super::facts::at(to.address, to.port);
    let made = Made { source: CLIENT.parse().unwrap(), destination, protocol: Protocol::Tcp };
    Trial { made, layers: vec![Layer::Xdp, Layer::Tc], by: Layer::Tc, decided, is_port_changed: false }
}

/// Explains a connection of a client outside to `to`, and compares with this decision of the programs.
fn compared(to: Frontend, decided: Decided) -> (Explanation, Vec<String>) {
    let (explanation, _) = explained(&memories(), outside(), to);
    let found = compare::disagreements(&explanation, &trial(to, decided));
    (explanation, found)
}

fn cluster_ip() -> Frontend {
    dialled("10.96.0.10", 80)
}

fn sent(source: &str, destination: &str) -> Decided {
    Decided::Sent(seen(source, destination), None)
}

#[test]
fn decisions_that_the_steps_say_agree() {
    let reset = Seen { is_reset: true, ..seen("10.96.0.10:81", CLIENT) };
    for (to, decided) in [
        (cluster_ip(), Decided::Left(seen(CLIENT, "10.244.1.1:8080"))),
        (cluster_ip(), sent("192.168.50.1:62000", "10.244.2.1:8080")),
        (cluster_ip(), sent("192.168.50.1:61001", "10.244.2.1:8080")),
        (cluster_ip(), Decided::Dropped(Some(Counter::DropSnatPortsExhausted))),
        (dialled("10.96.0.10", 81), Decided::Refused(Counter::RejectUnservedPort, reset)),
        (dialled("10.96.0.99", 80), Decided::Dropped(Some(Counter::DropUnownedAddress))),
        (dialled("203.0.113.2", 80), Decided::Dropped(Some(Counter::DropSourceRange))),
        (dialled("198.51.100.1", 80), Decided::Passed),
    ] {
        let (explanation, found) = compared(to, decided.clone());
        assert!(found.is_empty(), "{decided:?}: {found:?} {:?}", explanation.verdict);
    }
}

/// Checks that a decision disagrees with the explanation, in these words.
fn disagrees(to: Frontend, decided: &Decided, words: &str) {
    let (_, found) = compared(to, decided.clone());
    assert!(found.iter().any(|found| found == words), "{decided:?}: {found:?}");
}

#[test]
fn other_translations_disagree() {
    for (to, decided, words) in [
        (cluster_ip(), Decided::Passed, "the verdict is served, and the programs pass it untouched"),
        (
            cluster_ip(),
            sent("192.168.50.1:62000", "10.244.9.9:8080"),
            "the programs send it to 10.244.9.9:8080, which is none of the backends",
        ),
        (
            cluster_ip(),
            sent("192.168.50.7:62000", "10.244.2.1:8080"),
            "packets to 10.244.2.1:8080 are from 192.168.50.1, and the programs' is from 192.168.50.7:62000",
        ),
        (
            cluster_ip(),
            Decided::Left(seen(CLIENT, "10.244.2.1:8080")),
            "packets to 10.244.2.1:8080 are sent, and the programs leave it to the stack, to 10.244.2.1:8080",
        ),
        (
            cluster_ip(),
            Decided::Left(seen("192.0.2.9:1", "10.244.1.1:8080")),
            "the source port is the client's, and the programs' is 1",
        ),
    ] {
        disagrees(to, &decided, words);
    }
}

#[test]
fn other_verdicts_disagree() {
    for (to, decided, words) in [
        (
            cluster_ip(),
            Decided::Dropped(Some(Counter::DropNoLocalBackend)),
            "the verdict is served, and the programs refuse it, no_local_backend",
        ),
        (
            dialled("10.96.0.99", 80),
            Decided::Dropped(Some(Counter::DropSourceRange)),
            "the verdict is dropped, unowned_address, and the programs refuse it, source_range",
        ),
        (
            dialled("198.51.100.1", 80),
            Decided::Dropped(None),
            "the verdict is passes, and the programs drop it without a reason",
        ),
        (
            dialled("198.51.100.1", 80),
            Decided::Failed("a program returned 9".to_owned()),
            "the verdict is passes, and the programs fail: a program returned 9",
        ),
    ] {
        disagrees(to, &decided, words);
    }
}

#[test]
fn the_rule_about_source_ports_is_compared() {
    let (mut explanation, _) = explained(&memories(), outside(), cluster_ip());
    for (rule, port, agrees) in [
        (SourcePort::Kept, 62_000, true),
        (SourcePort::Kept, 61_001, false),
        (SourcePort::Replaced, 62_000, false),
        (SourcePort::Replaced, 61_001, true),
        (SourcePort::KeptIfFree, 61_001, true),
    ] {
        explanation.candidates.iter_mut().for_each(|candidate| candidate.source_port = rule);
        let trial = trial(cluster_ip(), sent(&format!("192.168.50.1:{port}"), "10.244.2.1:8080"));
        assert_eq!(compare::disagreements(&explanation, &trial).is_empty(), agrees, "{rule:?} {port}");
    }
}

#[test]
fn a_flow_of_the_clients_port_is_compared_first() {
    let (mut explanation, _) = explained(&memories(), Client { port: Some(62_000), ..outside() }, cluster_ip());
    let flow = |state, backend: &str, source: &str| super::super::explanation::FlowPart {
        state,
        backend: backend.to_owned(),
        source: source.to_owned(),
        expires_seconds: 60,
    };
    explanation.flow = Some(flow("established", "10.244.7.7:8080", "192.168.50.1:61005"));
    let found = |explanation: &Explanation, decided| compare::disagreements(explanation, &trial(cluster_ip(), decided));
    assert!(found(&explanation, sent("192.168.50.1:61005", "10.244.7.7:8080")).is_empty(), "it stays in the flow");
    assert!(found(&explanation, sent("192.168.50.1:62000", "10.244.2.1:8080")).is_empty(), "the flow was opened again");
    let other = found(&explanation, sent("192.168.50.1:61005", "10.244.8.8:8080"));
    assert!(other[0].starts_with("the flow's packets go to 10.244.7.7:8080 from 192.168.50.1:61005"), "{other:?}");
    explanation.flow = Some(flow(proxy_common::State::Foreign.label(), "10.244.7.7:8080", "192.0.2.9:62000"));
    assert!(found(&explanation, Decided::Passed).is_empty());
}

#[test]
fn a_disagreement_is_reported_and_changes_the_exit_code() {
    let to = cluster_ip();
    let facts = super::super::tests::fixture::facts(&memories(), outside(), to);
    let explained = |decided| {
        let mut explanation = super::super::steps::explain(&facts);
        let trial = trial(to, decided);
        explanation.programs = Some(part(&trial, compare::disagreements(&explanation, &trial)));
        let shown = text(&facts, &explanation);
        (exit_code(&explanation), shown)
    };
    let (code, shown) = explained(sent("192.168.50.1:62000", "10.244.2.1:8080"));
    let lines = "8  programs  a private copy of them was run on a SYN from 192.0.2.9:62000\n\
                 \u{20}            TC sends it to 10.244.2.1:8080 from 192.168.50.1:62000\n\
                 9  verdict   served";
    assert!(code == 0 && shown.contains(lines), "{code}: {shown}");
    assert!(!shown.contains("disagree"), "{shown}");
    let (code, shown) = explained(Decided::Passed);
    assert!(shown.contains("XDP and TC pass it untouched\n"), "{shown}");
    let words =
        "the loaded programs and the other steps disagree: the verdict is served, and the programs pass it untouched\n";
    assert!(
        code == 3
            && shown.replace("\n               ", " ").contains(words)
            && shown.contains("this is a bug of Waggle: please report it"),
        "{shown}"
    );
}

#[test]
fn results_and_counters_say_what_was_decided() {
    let refused = |counter| BTreeMap::from([(counter, 1), (Counter::FlowOpened, 1)]);
    let frame = Made {
        source: CLIENT.parse().unwrap(),
        destination: "10.244.2.1:8080".parse().unwrap(),
        protocol: Protocol::Udp,
    };
    let frame = frame.frame([2; 6], 1).unwrap();
    let seen = super::packet::read(&frame).unwrap();
    let none = BTreeMap::new();
    for (action, changed, counted, expected) in [
        (Action::Pass, None, &none, Decided::Passed),
        (Action::Pass, Some(frame.as_slice()), &none, Decided::Left(seen)),
        (Action::Send, Some(frame.as_slice()), &none, Decided::Sent(seen, Some("eth0".to_owned()))),
        (
            Action::Send,
            Some(frame.as_slice()),
            &refused(Counter::RejectNoBackend),
            Decided::Refused(Counter::RejectNoBackend, seen),
        ),
        (Action::Drop, None, &refused(Counter::DropNoRoute), Decided::Dropped(Some(Counter::DropNoRoute))),
        (Action::Drop, None, &none, Decided::Dropped(None)),
    ] {
        let decided = decide(action, changed, counted, |_| Some("eth0".to_owned()));
        assert_eq!(decided, expected, "{action:?}");
    }
    let failures = [
        decide(Action::Fault(9), None, &none, |_| None),
        decide(Action::Send, None, &none, |_| None),
        decide(Action::Pass, Some(&frame[..20]), &none, |_| None),
        decide(Action::Pass, None, &refused(Counter::DropNoRoute), |_| None),
    ];
    assert!(failures.iter().all(|decided| matches!(decided, Decided::Failed(_))), "{failures:?}");
}
