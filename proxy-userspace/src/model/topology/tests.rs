//! Tests S8, S9 and S12 to S16 on bare endpoints.

use proptest::prelude::*;

use super::*;

const READY: Conditions = Conditions { ready: true, serving: true, terminating: false };
const STARTING: Conditions = Conditions { ready: false, serving: false, terminating: false };
const SERVING_UNREADY: Conditions = Conditions { ready: false, serving: true, terminating: false };
const LEAVING: Conditions = Conditions { ready: false, serving: true, terminating: true };
const LEFT: Conditions = Conditions { ready: false, serving: false, terminating: true };

fn address(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 8080).into()
}

fn addresses_of(last: &[u8]) -> Vec<SocketAddr> {
    last.iter().map(|&last| address(last)).collect()
}

fn candidate(last: u8, conditions: Conditions) -> Candidate<'static> {
    Candidate { address: address(last), conditions, local: false, node_hint: NodeHint::Absent, zones: &[] }
}

fn local(last: u8, conditions: Conditions) -> Candidate<'static> {
    Candidate { local: true, ..candidate(last, conditions) }
}

fn lists(candidates: &[Candidate<'_>], zone: Option<&str>) -> Lists {
    let mut candidates = candidates.to_vec();
    deduplicate(&mut candidates);
    Lists::new(&candidates, zone)
}

/// Asserts both lists, by the last octets of their addresses.
#[track_caller]
fn check(candidates: &[Candidate<'_>], zone: Option<&str>, cluster: &[u8], local: &[u8]) {
    let lists = lists(candidates, zone);
    assert_eq!(lists.cluster, addresses_of(cluster), "cluster list");
    assert_eq!(lists.local, addresses_of(local), "local list");
}

#[test]
fn s8_non_terminating_copy_wins_in_any_order() {
    let copies = [candidate(1, READY), candidate(1, LEAVING)];
    check(&copies, None, &[1], &[]);
    check(&[copies[1], copies[0]], None, &[1], &[]);
    // A copy that is not ready wins over one that terminates, and is never usable.
    check(&[candidate(1, LEAVING), candidate(1, STARTING)], None, &[], &[]);
}

#[test]
fn s8_of_equal_copies_the_ready_and_the_local_one_wins() {
    check(&[candidate(1, STARTING), local(1, READY)], None, &[1], &[1]);
    check(&[candidate(1, READY), local(1, READY)], None, &[1], &[1]);
}

#[test]
fn w05_a_backends_place_is_the_winning_copys() {
    for copies in [[local(1, LEAVING), candidate(1, READY)], [candidate(1, READY), local(1, LEAVING)]] {
        check(&copies, None, &[1], &[]);
    }
    for copies in [[candidate(1, LEAVING), local(1, READY)], [local(1, READY), candidate(1, LEAVING)]] {
        check(&copies, None, &[1], &[1]);
    }
}

#[test]
fn s12_serving_terminating_stand_in_only_where_nothing_is_ready() {
    check(&[candidate(1, READY), candidate(2, LEAVING)], None, &[1], &[]);
    check(&[candidate(1, STARTING), candidate(2, LEAVING), candidate(3, LEFT)], None, &[2], &[]);
}

#[test]
fn w12_those_that_would_stand_in_keep_their_flows_where_something_is_ready() {
    let draining = |candidates: &[Candidate<'_>]| {
        let lists = lists(candidates, None);
        [lists.cluster_draining, lists.local_draining]
    };
    let all = [candidate(1, READY), candidate(2, LEAVING), candidate(3, LEFT), candidate(4, SERVING_UNREADY)];
    assert_eq!(draining(&all), [addresses_of(&[2]), vec![]]);
    assert_eq!(draining(&[local(1, READY), local(2, LEAVING)]), [addresses_of(&[2]), addresses_of(&[2])]);
    // Here it is usable.
    assert_eq!(draining(&[candidate(1, READY), local(2, LEAVING)]), [addresses_of(&[2]), vec![]]);
    assert_eq!(draining(&[local(2, LEAVING), candidate(3, LEAVING)]), [vec![], vec![]]);
}

#[test]
fn s12_serving_but_neither_ready_nor_terminating_is_never_used() {
    check(&[local(1, SERVING_UNREADY)], None, &[], &[]);
}

#[test]
fn s13_each_list_falls_back_on_its_own() {
    check(&[candidate(1, READY), local(2, LEAVING)], None, &[1], &[2]);
    check(&[local(1, READY), local(2, LEAVING)], None, &[1], &[1]);
}

#[test]
fn s13_local_list_and_fall_back_ignore_topology() {
    let there = [Arc::from("there")];
    let here = [Arc::from("here")];
    let (near, far) = (|one| Candidate { zones: &here, ..one }, |one| Candidate { zones: &there, ..one });
    check(&[far(local(1, READY)), near(candidate(2, READY))], Some("here"), &[2], &[1]);
    check(&[far(candidate(1, LEAVING)), near(candidate(2, LEAVING))], Some("here"), &[1, 2], &[]);
    // A terminating endpoint without hints does not void the hints of the ready ones.
    check(&[near(candidate(1, READY)), far(candidate(2, READY)), candidate(3, LEAVING)], Some("here"), &[1], &[]);
}

#[test]
fn s15_node_hints_come_before_zone_hints() {
    let here = [Arc::from("here")];
    let hinted = |last, node_hint| Candidate { node_hint, zones: &here, ..candidate(last, READY) };
    check(&[hinted(1, NodeHint::This), hinted(2, NodeHint::Others)], Some("here"), &[1], &[]);
    // No hint names this node, so the zone decides.
    check(&[hinted(1, NodeHint::Others), hinted(2, NodeHint::Others)], Some("here"), &[1, 2], &[]);
    // One endpoint has no node hint, so the zone decides.
    let elsewhere = [Arc::from("elsewhere")];
    let far = Candidate { node_hint: NodeHint::This, zones: &elsewhere, ..candidate(2, READY) };
    check(&[hinted(1, NodeHint::Absent), far], Some("here"), &[1], &[]);
}

#[test]
fn s15_zone_hints_count_only_if_all_have_them_and_one_is_ours() {
    let a = [Arc::from("a")];
    let both = [Arc::from("a"), Arc::from("b")];
    let hinted = |last, zones| Candidate { zones, ..candidate(last, READY) };
    let all = [hinted(1, &a[..]), hinted(2, &both[..])];
    check(&all, Some("b"), &[2], &[]);
    check(&all, Some("a"), &[1, 2], &[]);
    check(&all, Some("c"), &[1, 2], &[]);
    check(&all, None, &[1, 2], &[]);
    check(&[all[1], candidate(3, READY)], Some("b"), &[2, 3], &[]);
}

#[test]
fn s16_usable_means_anywhere() {
    assert!(lists(&[candidate(1, LEAVING)], None).usable());
    assert!(!lists(&[candidate(1, STARTING), candidate(2, LEFT)], None).usable());
    assert!(!lists(&[], None).usable());
}

fn any_candidate() -> impl Strategy<Value = Candidate<'static>> {
    let conditions = (any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(ready, serving, terminating)| Conditions { ready, serving, terminating });
    let hint = prop_oneof![Just(NodeHint::Absent), Just(NodeHint::This), Just(NodeHint::Others)];
    (0..6_u8, conditions, any::<bool>(), hint).prop_map(|(last, conditions, local, node_hint)| Candidate {
        local,
        node_hint,
        ..candidate(last, conditions)
    })
}

proptest! {
    #[test]
    fn s13_lists_are_sorted_unique_and_do_not_depend_on_order(
        (given, shuffled) in prop::collection::vec(any_candidate(), 0..12)
            .prop_flat_map(|given| (Just(given.clone()), Just(given).prop_shuffle())),
    ) {
        // Of copies that differ only in their hints the first wins, so that the order would matter.
        prop_assume!(given.iter().all(|one| given.iter().all(|other| {
            one.address != other.address || one.node_hint == other.node_hint
        })));
        let (lists, again) = (lists(&given, None), lists(&shuffled, None));
        prop_assert!(lists.cluster.is_sorted_by(|a, b| a < b) && lists.local.is_sorted_by(|a, b| a < b));
        prop_assert!(lists.local.is_empty() || lists.usable());
        prop_assert_eq!(lists, again);
    }
}
