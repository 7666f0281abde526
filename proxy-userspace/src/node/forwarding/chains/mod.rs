//! Finds nftables chains that drop or reject forwarded packets unless a rule accepts them, as Docker, ufw and firewalld
//! create them (include/uapi/linux/netfilter/nf_tables.h). The chain FORWARD of iptables-nft is one. An accept in another
//! chain has no effect on them, so only rules in these chains help.

mod rules;

use std::{
    fmt, io,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use tracing::debug;

use super::{
    Fault,
    remedy::{ChainRefusal, End, accept_in},
};
use crate::{
    logging::errors::Report,
    node::netfilter::{NLM_F_ACK, NLM_F_DUMP, Request, ask, ask_until, attribute, find},
};

/// NFNL_SUBSYS_NFTABLES with NFT_MSG_NEWCHAIN, NFT_MSG_GETCHAIN, NFT_MSG_NEWRULE, NFT_MSG_GETRULE, NFT_MSG_NEWGEN and
/// NFT_MSG_GETGEN.
const NEW_CHAIN: u16 = 10 << 8 | 3;
const GET_CHAIN: u16 = 10 << 8 | 4;
const NEW_RULE: u16 = 10 << 8 | 6;
const GET_RULE: u16 = 10 << 8 | 7;
const NEW_GENERATION: u16 = 10 << 8 | 15;
const GET_GENERATION: u16 = 10 << 8 | 16;

const NFTA_GEN_ID: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
/// NF_INET_FORWARD and NF_DROP.
const FORWARD: u32 = 2;
const DROP: u32 = 0;

/// After a read, chains are not read again for this many times as long as the read took. So reading takes at most a
/// fiftieth of the time on a node whose rules change all the time, however many rules there are.
const REST: u32 = 50;

/// A chain at the forward hook.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chain {
    /// The family, an NFPROTO_….
    number: u8,
    family: &'static str,
    table: String,
    name: String,
    policy: u32,
}

/// The faults of the chains in one generation of the rules.
#[derive(Debug, Default)]
pub(super) struct Chains {
    generation: Option<u32>,
    rest_until: Option<Instant>,
    faults: Vec<Fault>,
}

impl Chains {
    /// Returns a fault for each chain that refuses forwarded packets. The chains are read again only when the rules have
    /// changed, since there may be many.
    pub(super) fn faults(&mut self) -> Vec<Fault> {
        let generation = generation();
        let now = Instant::now();
        if generation != self.generation && self.rest_until.is_none_or(|until| now >= until) {
            self.generation = generation;
            self.faults = if generation.is_some() { faults() } else { Vec::new() };
            self.rest_until = Some(now + rest(now.elapsed()));
        }
        self.faults.clone()
    }
}

fn rest(took: Duration) -> Duration {
    took.saturating_mul(REST)
}

impl fmt::Display for Chain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the chain {} of the nftables table {} {}", self.name, self.family, self.table)
    }
}

impl Chain {
    /// Returns what in the chain refuses packets. The rules are read only if the policy accepts, up to the first rule that
    /// ends the chain.
    fn refusal(&self) -> io::Result<Option<ChainRefusal>> {
        if self.policy == DROP {
            return Ok(Some(ChainRefusal::Policy));
        }
        let attributes = [attribute(NFTA_RULE_TABLE, &self.table), attribute(NFTA_RULE_CHAIN, &self.name)];
        let request = Request { kind: GET_RULE, flags: NLM_F_DUMP, family: self.number, attributes: &attributes };
        let mut end = None;
        ask_until(request, |kind, _, rule| {
            end = if kind == NEW_RULE { rules::end(rule) } else { None };
            if end.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(end.and_then(End::refusal))
    }

    fn fault(&self, refusal: ChainRefusal) -> Fault {
        let Self { family, table, name, .. } = self;
        let (rule, ip) =
            (format!("nft insert rule {family} {table} {name}"), if *family == "ip6" { "ip6" } else { "ip" });
        let commands = ["daddr", "saddr"].map(|direction| format!("{rule} {ip} {direction} PODS accept"));
        accept_in(&self.to_string(), refusal, [&commands[0], &commands[1]])
    }
}

/// Returns the number of the ruleset's generation; `None` without nftables.
fn generation() -> Option<u32> {
    let mut number = None;
    let outcome = ask(GET_GENERATION, NLM_F_ACK, |kind, _, attributes| {
        if kind == NEW_GENERATION {
            number = word(attributes, NFTA_GEN_ID);
        }
    });
    outcome.inspect_err(|error| debug!(error = %Report(error), "can't read the generation of nftables")).ok()?;
    number
}

fn faults() -> Vec<Fault> {
    let fault = |chain: Chain| {
        let refusal =
            chain.refusal().inspect_err(|error| debug!(error = %Report(error), %chain, "can't list rules of nftables"));
        refusal.ok().flatten().map(|refusal| chain.fault(refusal))
    };
    chains().into_iter().filter_map(fault).collect()
}

fn chains() -> Vec<Chain> {
    let mut found = Vec::new();
    let outcome = ask(GET_CHAIN, NLM_F_DUMP, |kind, family, attributes| {
        if kind == NEW_CHAIN {
            found.extend(read(family, attributes));
        }
    });
    // The chains are listed again after the next change of the rules.
    let _ = outcome.inspect_err(|error| debug!(error = %Report(error), "can't list chains of nftables"));
    found
}

/// Parses the chain that these attributes describe; `None` unless it is a base chain at the forward hook. `number` is its
/// family, an NFPROTO_….
fn read(number: u8, attributes: &[u8]) -> Option<Chain> {
    let family = match number {
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => return None,
    };
    if word(&find(attributes, NFTA_CHAIN_HOOK)?, NFTA_HOOK_HOOKNUM)? != FORWARD {
        return None;
    }
    let policy = word(attributes, NFTA_CHAIN_POLICY)?;
    let text = |kind| Some(String::from_utf8_lossy(&find(attributes, kind)?).trim_end_matches('\0').to_owned());
    Some(Chain { number, family, table: text(NFTA_CHAIN_TABLE)?, name: text(NFTA_CHAIN_NAME)?, policy })
}

fn word(attributes: &[u8], kind: u16) -> Option<u32> {
    find(attributes, kind)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn chain(hook: Option<u32>, policy: Option<u32>) -> Vec<u8> {
        let mut bytes = [attribute(NFTA_CHAIN_TABLE, b"filter\0"), attribute(NFTA_CHAIN_NAME, b"FORWARD\0")].concat();
        let hook = hook.map(|hook| attribute(NFTA_HOOK_HOOKNUM, &hook.to_be_bytes()));
        bytes.extend(hook.iter().flat_map(|hook| attribute(1 << 15 | NFTA_CHAIN_HOOK, hook)));
        bytes.extend(policy.iter().flat_map(|policy| attribute(NFTA_CHAIN_POLICY, &policy.to_be_bytes())));
        bytes
    }

    #[test]
    fn field_s11_chains_that_what_is_forwarded_goes_through_are_read() {
        let expected = |number, family, policy| {
            let (table, name) = ("filter".to_owned(), "FORWARD".to_owned());
            Chain { number, family, table, name, policy }
        };
        for (number, family) in [(1, "inet"), (2, "ip"), (10, "ip6")] {
            for policy in [DROP, 1] {
                let read = read(number, &chain(Some(FORWARD), Some(policy)));
                assert_eq!(read, Some(expected(number, family, policy)));
            }
        }
        let fault = expected(10, "ip6", DROP).fault(ChainRefusal::Policy);
        assert!(fault.remedy.contains("`nft insert rule ip6 filter FORWARD ip6 saddr PODS accept`"));
        for other in [chain(None, None), chain(Some(1), Some(DROP)), chain(Some(FORWARD), None)] {
            assert_eq!(read(2, &other), None);
        }
        // A bridge forwards frames; this is not the forward hook of IP.
        assert_eq!(read(7, &chain(Some(FORWARD), Some(DROP))), None);
    }

    #[test]
    fn rules_that_take_long_are_read_seldom() {
        assert_eq!(rest(Duration::from_millis(100)), Duration::from_secs(5));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(2, &bytes);
        }
    }
}
