//! Parses rules of an nftables chain, to find the first one that ends the chain for every packet. Pure.

use std::ops::ControlFlow;

use super::super::remedy::End;
use crate::node::netfilter::{each, find};

const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_IMMEDIATE_DREG: u16 = 1;
const NFTA_IMMEDIATE_DATA: u16 = 2;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
/// The name attribute of iptables targets and matches in nftables: NFTA_TARGET_NAME and NFTA_MATCH_NAME.
const NFTA_XT_NAME: u16 = 1;

/// `NFT_REG_VERDICT`.
const VERDICT: u32 = 0;
/// `enum nft_verdicts`, and NF_DROP and NF_ACCEPT of linux/netfilter.h, as signed values.
const DROP: i32 = 0;
const ACCEPT: i32 = 1;
const GOTO: i32 = -4;
const RETURN: i32 = -5;

/// Returns what the rule with these attributes does with every packet; `None` if it has conditions, continues with the
/// next rule, or can't be parsed.
pub(super) fn end(rule: &[u8]) -> Option<End> {
    let expressions = find(rule, NFTA_RULE_EXPRESSIONS)?;
    for expression in each(&expressions).filter(|part| part.kind() == NFTA_LIST_ELEM) {
        if let ControlFlow::Break(end) = effect(expression.value())? {
            return Some(end);
        }
    }
    None
}

/// Returns what an expression does with every packet; `None` for an expression that may not match every packet.
fn effect(expression: &[u8]) -> Option<ControlFlow<End>> {
    let name = find(expression, NFTA_EXPR_NAME)?;
    let data = || find(expression, NFTA_EXPR_DATA);
    let xt_name = || find(&data()?, NFTA_XT_NAME);
    match trimmed(&name) {
        b"counter" | b"log" => Some(ControlFlow::Continue(())),
        b"match" if trimmed(&xt_name()?) == b"comment" => Some(ControlFlow::Continue(())),
        b"reject" => Some(ControlFlow::Break(End::Refuses("reject"))),
        b"target" => match trimmed(&xt_name()?) {
            b"REJECT" => Some(ControlFlow::Break(End::Refuses("reject"))),
            b"NFQUEUE" => Some(ControlFlow::Break(End::Passes)),
            _ => None,
        },
        b"queue" => Some(ControlFlow::Break(End::Passes)),
        b"immediate" => immediate(&data()?).map(ControlFlow::Break),
        _ => None,
    }
}

/// Returns what the verdict of an immediate expression does; `None` if it has no verdict that ends the chain.
fn immediate(data: &[u8]) -> Option<End> {
    let word = |attributes: &[u8], kind| find(attributes, kind)?.try_into().ok().map(u32::from_be_bytes);
    if word(data, NFTA_IMMEDIATE_DREG)? != VERDICT {
        return None;
    }
    let verdict = find(&find(data, NFTA_IMMEDIATE_DATA)?, NFTA_DATA_VERDICT)?;
    match word(&verdict, NFTA_VERDICT_CODE)?.cast_signed() {
        DROP => Some(End::Refuses("drop")),
        ACCEPT | GOTO | RETURN => Some(End::Passes),
        // A jump returns.
        _ => None,
    }
}

fn trimmed(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"\0").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::attribute, *};

    fn rule(expressions: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let of = |(name, data): &(&str, Vec<u8>)| {
            let name = attribute(NFTA_EXPR_NAME, format!("{name}\0").as_bytes());
            attribute(1 << 15 | NFTA_LIST_ELEM, &[name, attribute(1 << 15 | NFTA_EXPR_DATA, data)].concat())
        };
        attribute(1 << 15 | NFTA_RULE_EXPRESSIONS, &expressions.iter().flat_map(of).collect::<Vec<_>>())
    }

    fn verdict(register: u32, code: i32) -> (&'static str, Vec<u8>) {
        let code = attribute(NFTA_VERDICT_CODE, &code.to_be_bytes());
        let data = attribute(1 << 15 | NFTA_IMMEDIATE_DATA, &attribute(1 << 15 | NFTA_DATA_VERDICT, &code));
        ("immediate", [attribute(NFTA_IMMEDIATE_DREG, &register.to_be_bytes()), data].concat())
    }

    fn xt(kind: &'static str, name: &str) -> (&'static str, Vec<u8>) {
        (kind, attribute(NFTA_XT_NAME, format!("{name}\0").as_bytes()))
    }

    #[test]
    fn field_s11_only_a_rule_without_a_match_ends_a_chain() {
        let (counter, log) = (("counter", Vec::new()), ("log", Vec::new()));
        let refuses = |word| Some(End::Refuses(word));
        assert_eq!(end(&rule(&[verdict(0, DROP)])), refuses("drop"));
        assert_eq!(end(&rule(&[counter.clone(), log, verdict(0, DROP)])), refuses("drop"));
        assert_eq!(end(&rule(&[("reject", Vec::new())])), refuses("reject"));
        assert_eq!(end(&rule(&[xt("match", "comment"), counter.clone(), xt("target", "REJECT")])), refuses("reject"));
        for code in [ACCEPT, GOTO, RETURN] {
            assert_eq!(end(&rule(&[counter.clone(), verdict(0, code)])), Some(End::Passes));
        }
        assert_eq!(end(&rule(&[("queue", Vec::new())])), Some(End::Passes));
        let on = [
            vec![counter],
            vec![verdict(0, -3)],
            vec![verdict(1, DROP)],
            vec![("meta", Vec::new()), ("cmp", Vec::new()), verdict(0, DROP)],
            vec![("limit", Vec::new()), ("reject", Vec::new())],
            vec![xt("match", "state"), xt("target", "REJECT")],
            vec![xt("target", "LOG")],
            vec![],
        ];
        for expressions in on {
            assert_eq!(end(&rule(&expressions)), None, "{expressions:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (end(&bytes), effect(&bytes), immediate(&bytes));
        }
    }
}
