//! nftables over netlink (include/uapi/linux/netfilter/nf_tables.h): existing chains, kube-proxy's tables, and the table that
//! keeps connections alive that netfilter translates.
//!
//! netfilter registers its hooks only while they are needed: NAT needs a chain of type nat in the family, and connection
//! tracking needs a rule that uses it. If kube-proxy's rules are the only ones, removing them would break the connections that
//! they translate. So a table with one such chain and one such rule, which changes no packet, replaces them for as long as
//! there are such connections.

use std::io;

use rtnetlink::packet_core::DefaultNla;

use super::{names::TABLE, nf_proto};
use crate::{
    desired::Family,
    node::netfilter::{NLM_F_DUMP, Request, ask, attribute, change, find, nest},
};

/// NFNL_SUBSYS_NFTABLES and its message types.
const SUBSYSTEM: u8 = 10;
const NEW_TABLE: u16 = 10 << 8;
const GET_TABLE: u16 = 10 << 8 | 1;
const DELETE_TABLE: u16 = 10 << 8 | 2;
const NEW_CHAIN: u16 = 10 << 8 | 3;
const GET_CHAIN: u16 = 10 << 8 | 4;
const NEW_RULE: u16 = 10 << 8 | 6;
/// NLM_F_CREATE.
const CREATE: u16 = 0x400;

/// NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and NFTA_RULE_TABLE, which have the same number.
const IN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_CT_DREG: u16 = 1;
const NFTA_CT_KEY: u16 = 2;
const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFTA_DATA_VALUE: u16 = 1;
/// NF_INET_POST_ROUTING and NF_IP_PRI_NAT_SRC.
const POST_ROUTING: u32 = 4;
const PRIORITY: u32 = 100;
/// NFT_REG_1, NFT_CT_DIRECTION, NFT_CMP_EQ.
const REGISTER: u32 = 1;
const DIRECTION: u32 = 1;
const EQUAL: u32 = 0;

/// The names of the table that keeps translated connections alive, and of its chain.
pub(super) const KEEPER: &str = "waggle-keeps-translated";
const KEEPER_CHAIN: &str = "connections";

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub family: Family,
    pub table: String,
    pub name: String,
}

/// Returns the chains of both IP families; none if the kernel has no nftables.
pub(super) fn chains() -> io::Result<Vec<Chain>> {
    let mut chains = Vec::new();
    list(GET_CHAIN, NEW_CHAIN, |family, attributes| {
        let text = |kind| find(attributes, kind).as_deref().map(string);
        if let (Some(table), Some(name)) = (text(IN_TABLE), text(NFTA_CHAIN_NAME)) {
            chains.push(Chain { family, table, name });
        }
    })?;
    Ok(chains)
}

/// Returns the families that have a table with this name.
pub(super) fn families_with(table: &str) -> io::Result<Vec<Family>> {
    let mut families = Vec::new();
    list(GET_TABLE, NEW_TABLE, |family, attributes| {
        if find(attributes, IN_TABLE).as_deref().map(string).as_deref() == Some(table) {
            families.push(family);
        }
    })?;
    Ok(families)
}

/// Removes kube-proxy's table.
pub(super) fn remove(family: Family) -> io::Result<()> {
    delete(family, TABLE)
}

/// Removes the table that keeps connections alive.
pub(super) fn remove_keeper(family: Family) -> io::Result<()> {
    delete(family, KEEPER)
}

/// Creates the table that keeps connections alive.
pub(super) fn make_keeper(family: Family) -> io::Result<()> {
    let number = |kind, value: u32| DefaultNla::new(kind, value.to_be_bytes().to_vec());
    let table = attribute(IN_TABLE, KEEPER);
    let hook = nest(NFTA_CHAIN_HOOK, &[number(NFTA_HOOK_HOOKNUM, POST_ROUTING), number(NFTA_HOOK_PRIORITY, PRIORITY)]);
    let chain = [table.clone(), attribute(NFTA_CHAIN_NAME, KEEPER_CHAIN), hook, attribute(NFTA_CHAIN_TYPE, "nat")];
    // `ct direction original`, without a verdict.
    let load = [number(NFTA_CT_DREG, REGISTER), number(NFTA_CT_KEY, DIRECTION)];
    let value = nest(NFTA_CMP_DATA, &[DefaultNla::new(NFTA_DATA_VALUE, vec![0])]);
    let compare = [number(NFTA_CMP_SREG, REGISTER), number(NFTA_CMP_OP, EQUAL), value];
    let expressions = nest(NFTA_RULE_EXPRESSIONS, &[expression("ct", &load), expression("cmp", &compare)]);
    let rule = [table.clone(), attribute(NFTA_RULE_CHAIN, KEEPER_CHAIN), expressions];
    let table = [table];
    let request = |kind, attributes| Request { kind, flags: CREATE, family: nf_proto(family), attributes };
    change(SUBSYSTEM, &[request(NEW_TABLE, &table), request(NEW_CHAIN, &chain), request(NEW_RULE, &rule)])
}

fn expression(name: &str, data: &[DefaultNla]) -> DefaultNla {
    nest(NFTA_LIST_ELEM, &[attribute(NFTA_EXPR_NAME, name), nest(NFTA_EXPR_DATA, data)])
}

fn delete(family: Family, table: &str) -> io::Result<()> {
    let attributes = [attribute(IN_TABLE, table)];
    let request = Request { kind: DELETE_TABLE, flags: 0, family: nf_proto(family), attributes: &attributes };
    change(SUBSYSTEM, &[request])
}

fn list(request: u16, answer: u16, mut found: impl FnMut(Family, &[u8])) -> io::Result<()> {
    let outcome = ask(request, NLM_F_DUMP, |kind, number, attributes| {
        let family = Family::BOTH.into_iter().find(|family| nf_proto(*family) == number && kind == answer);
        if let Some(family) = family {
            found(family, attributes);
        }
    });
    match outcome {
        // The kernel has no nftables.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        outcome => outcome,
    }
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}
