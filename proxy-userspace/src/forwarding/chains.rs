//! Chains of nftables that drop what is forwarded unless a rule accepts it, as Docker and ufw make them, iptables' FORWARD among
//! them where it is kept in nftables (include/uapi/linux/netfilter/nf_tables.h). Another chain's accept does not help, so that
//! nothing can be done about them but in them.

use std::fmt;

use tracing::debug;

use super::remedy::accept_in;
use crate::netfilter::{NLM_F_ACK, NLM_F_DUMP, ask, find};

/// NFNL_SUBSYS_NFTABLES with NFT_MSG_NEWCHAIN, NFT_MSG_GETCHAIN, NFT_MSG_NEWGEN and NFT_MSG_GETGEN.
const NEW_CHAIN: u16 = 10 << 8 | 3;
const GET_CHAIN: u16 = 10 << 8 | 4;
const NEW_GENERATION: u16 = 10 << 8 | 15;
const GET_GENERATION: u16 = 10 << 8 | 16;

const NFTA_GEN_ID: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_HOOK_HOOKNUM: u16 = 1;
/// NF_INET_FORWARD and NF_DROP.
const FORWARD: u32 = 2;
const DROP: u32 = 0;

/// A chain that drops.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chain {
    family: &'static str,
    table: String,
    name: String,
}

/// The chains as they were in some generation of the rules.
#[derive(Debug, Default)]
pub(super) struct Chains {
    generation: Option<u32>,
    dropping: Vec<Chain>,
}

impl Chains {
    /// Those that drop, in words. Asks for chains only when the rules have changed: there may be many.
    pub(super) fn faults(&mut self) -> Vec<String> {
        let generation = generation();
        if generation != self.generation {
            self.generation = generation;
            self.dropping = if generation.is_some() { dropping() } else { Vec::new() };
        }
        self.dropping.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, table, name } = self;
        let (rule, ip) =
            (format!("nft insert rule {family} {table} {name}"), if *family == "ip6" { "ip6" } else { "ip" });
        let commands = ["daddr", "saddr"].map(|direction| format!("{rule} {ip} {direction} PODS accept"));
        let chain = format!("the chain {name} of the nftables table {family} {table}");
        out.write_str(&accept_in(&chain, [&commands[0], &commands[1]]))
    }
}

/// The number of the rules' generation; none without nftables.
fn generation() -> Option<u32> {
    let mut number = None;
    let outcome = ask(GET_GENERATION, NLM_F_ACK, |kind, _, attributes| {
        if kind == NEW_GENERATION {
            number = word(attributes, NFTA_GEN_ID);
        }
    });
    outcome.inspect_err(|error| debug!(%error, "nftables can't be asked")).ok()?;
    number
}

fn dropping() -> Vec<Chain> {
    let mut found = Vec::new();
    let outcome = ask(GET_CHAIN, NLM_F_DUMP, |kind, family, attributes| {
        if kind == NEW_CHAIN {
            found.extend(read(family, attributes));
        }
    });
    // What can't be told now is told when the rules change next.
    let _ = outcome.inspect_err(|error| debug!(%error, "chains of nftables can't be listed"));
    found
}

/// The chain that these attributes tell, if it drops what is forwarded. `family` is an NFPROTO_….
fn read(family: u8, attributes: &[u8]) -> Option<Chain> {
    let family = match family {
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => return None,
    };
    let hook = word(&find(attributes, NFTA_CHAIN_HOOK)?, NFTA_HOOK_HOOKNUM)?;
    if hook != FORWARD || word(attributes, NFTA_CHAIN_POLICY)? != DROP {
        return None;
    }
    let text = |kind| Some(String::from_utf8_lossy(&find(attributes, kind)?).trim_end_matches('\0').to_owned());
    Some(Chain { family, table: text(NFTA_CHAIN_TABLE)?, name: text(NFTA_CHAIN_NAME)? })
}

fn word(attributes: &[u8], kind: u16) -> Option<u32> {
    find(attributes, kind)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
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
    fn field_s11_chains_that_drop_what_is_forwarded_are_read() {
        let expected = |family| Chain { family, table: "filter".to_owned(), name: "FORWARD".to_owned() };
        for (number, family) in [(1, "inet"), (2, "ip"), (10, "ip6")] {
            assert_eq!(read(number, &chain(Some(FORWARD), Some(DROP))), Some(expected(family)));
        }
        assert!(expected("ip6").to_string().contains("`nft insert rule ip6 filter FORWARD ip6 saddr PODS accept`"));
        let others =
            [chain(None, None), chain(Some(FORWARD), Some(1)), chain(Some(1), Some(DROP)), chain(Some(FORWARD), None)];
        for other in others {
            assert_eq!(read(2, &other), None);
        }
        // What a bridge forwards is not what the node forwards.
        assert_eq!(read(7, &chain(Some(FORWARD), Some(DROP))), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(2, &bytes);
        }
    }
}
