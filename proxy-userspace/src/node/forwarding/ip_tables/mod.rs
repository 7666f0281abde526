//! Finds tables of `iptables-legacy` whose chain FORWARD refuses packets, by its policy or by a last rule without
//! conditions (RHEL's default). Tables are read like iptables(8) does, with getsockopt(2)
//! (include/uapi/linux/netfilter_ipv4/ip_tables.h and netfilter_ipv6/ip6_tables.h). The kernel creates a table when it
//! is read, so only existing tables are read.

mod rules;
mod table;

use std::{
    fs, io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tracing::debug;

use self::{
    rules::RuleLayout,
    table::{Info, read_request},
};
use super::{
    Fault,
    remedy::{ChainRefusal, accept_in},
};
use crate::{logging::errors::Report, node::bpf::socket_option};

/// IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES; the numbers are the same for IPv6.
const GET_INFO: libc::c_int = 64;
const GET_ENTRIES: libc::c_int = 65;

/// How often rules are read again that may have changed unnoticed. Reading them is expensive: the kernel sums up the
/// counters of each rule over all CPUs.
const REREAD_PERIOD: Duration = Duration::from_secs(10);

/// The properties in which the families differ.
#[derive(Debug, PartialEq, Eq)]
struct SocketLevel {
    domain: AddressFamily,
    number: libc::c_int,
    layout: RuleLayout,
    /// The file with the names of the existing tables, one per line. It does not exist if the module is not loaded.
    names: &'static str,
    program: &'static str,
}

static LEVELS: [SocketLevel; 2] = [
    SocketLevel {
        domain: AddressFamily::Inet,
        number: libc::IPPROTO_IP,
        layout: RuleLayout::IPV4,
        names: "/proc/thread-self/net/ip_tables_names",
        program: "iptables-legacy",
    },
    SocketLevel {
        domain: AddressFamily::Inet6,
        number: libc::IPPROTO_IPV6,
        layout: RuleLayout::IPV6,
        names: "/proc/thread-self/net/ip6_tables_names",
        program: "ip6tables-legacy",
    },
];

/// A table as the kernel describes it.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    level: &'static SocketLevel,
    name: String,
    info: Info,
}

/// The tables and their faults when they were last read.
#[derive(Debug, Default)]
pub(super) struct IpTables {
    tables: Vec<Table>,
    read_at: Option<Instant>,
    faults: Vec<Fault>,
}

impl IpTables {
    /// Returns a fault for each table that refuses packets in the calling thread's network namespace.
    pub(super) fn faults(&mut self) -> Vec<Fault> {
        let tables: Vec<_> = LEVELS.iter().flat_map(tables).collect();
        if tables != self.tables || self.read_at.is_none_or(|at| at.elapsed() > REREAD_PERIOD) {
            match faults(&tables) {
                Ok(faults) => *self = Self { tables, read_at: Some(Instant::now()), faults },
                // The tables have changed since they were listed. The next look reads them again.
                Err(error) => debug!(error = %Report(&error), "can't read rules of iptables"),
            }
        }
        self.faults.clone()
    }
}

/// Returns the tables of a family that have a chain FORWARD.
fn tables(level: &'static SocketLevel) -> Vec<Table> {
    let names = fs::read_to_string(level.names).unwrap_or_default();
    let described = |name: &str| {
        let info = describe(level, name);
        let info =
            info.inspect_err(|error| debug!(error = %Report(error), name, "can't read a table of iptables")).ok()?;
        info.forward().is_some().then(|| Table { level, name: name.to_owned(), info })
    };
    names.lines().filter_map(described).collect()
}

/// Calls `found` with the table and the name of each user-defined chain of the family, in the calling thread's network namespace.
pub(crate) fn user_chains(is_ipv6: bool, mut found: impl FnMut(&str, String)) -> io::Result<()> {
    let level = &LEVELS[usize::from(is_ipv6)];
    for name in fs::read_to_string(level.names).unwrap_or_default().lines() {
        let table = Table { level, name: name.to_owned(), info: describe(level, name)? };
        table::chain_names(&rules(&table)?).for_each(|chain| found(name, chain));
    }
    Ok(())
}

fn describe(level: &SocketLevel, name: &str) -> io::Result<Info> {
    let mut info = Info::request(name)?;
    socket_option(open(level)?, level.number, GET_INFO, info.bytes())?;
    Ok(info)
}

fn faults(tables: &[Table]) -> io::Result<Vec<Fault>> {
    let refusals = tables.iter().map(|table| Ok(refusal(table)?.map(|refusal| fault(table, refusal))));
    refusals.filter_map(io::Result::transpose).collect()
}

fn refusal(table: &Table) -> io::Result<Option<ChainRefusal>> {
    let rules = rules(table)?;
    Ok(table.info.forward().and_then(|chain| table.level.layout.refusal(&rules, &chain)))
}

fn rules(table: &Table) -> io::Result<Vec<u8>> {
    let mut answer = read_request(&table.name, &table.info)?;
    socket_option(open(table.level)?, table.level.number, GET_ENTRIES, &mut answer)?;
    Ok(answer.split_off(table::RULES))
}

/// Opens a socket of the level. Its type does not matter for the options.
fn open(level: &SocketLevel) -> io::Result<OwnedFd> {
    Ok(socket(level.domain, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

fn fault(Table { level, name, .. }: &Table, refusal: ChainRefusal) -> Fault {
    let program = level.program;
    let insert = if name == "filter" { "-I FORWARD".to_owned() } else { format!("-t {name} -I FORWARD") };
    let command = |direction| format!("{program} {insert} {direction} PODS -j ACCEPT");
    let chain = format!("the chain FORWARD of the table {name} of {program}");
    accept_in(&chain, refusal, [&command("-d"), &command("-s")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_s11_the_remedy_names_table_and_program() {
        let table = |name: &str| Table { level: &LEVELS[1], name: name.to_owned(), info: Info::request(name).unwrap() };
        assert!(
            fault(&table("filter"), ChainRefusal::Policy)
                .remedy
                .contains("`ip6tables-legacy -I FORWARD -s PODS -j ACCEPT`")
        );
        assert!(
            fault(&table("mangle"), ChainRefusal::Policy)
                .remedy
                .contains("`ip6tables-legacy -t mangle -I FORWARD -d PODS -j ACCEPT`")
        );
    }
}
