//! The log text about a chain that refuses forwarded packets, for nftables and iptables.

use std::fmt;

use super::Fault;

/// What a rule without conditions does with all packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Refuses them, with the statement of this name.
    Refuses(&'static str),
    /// Ends the chain for them without refusing them, so that no later rule applies.
    Passes,
}

/// The part of a chain that refuses packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChainRefusal {
    /// The policy, which is drop.
    Policy,
    /// A rule without conditions, which has the statement of this name.
    Rule(&'static str),
}

impl End {
    pub(super) const fn refusal(self) -> Option<ChainRefusal> {
        match self {
            Self::Refuses(statement) => Some(ChainRefusal::Rule(statement)),
            Self::Passes => None,
        }
    }
}

impl fmt::Display for ChainRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy => out.write_str("drops forwarded packets unless one of its rules accepts them"),
            Self::Rule(statement) => write!(
                out,
                "ends with an unconditional {statement}: it refuses forwarded packets that no earlier rule accepts"
            ),
        }
    }
}

/// Returns the fault: what `chain` breaks, and the two commands that accept packets to pods and from pods.
pub(super) fn accept_in(chain: &str, refusal: ChainRefusal, commands: [&str; 2]) -> Fault {
    let [to, from] = commands;
    Fault {
        problem: format!(
            "{chain} {refusal}; \
             unless a rule accepts packets to and from this node's pods, clients outside can't reach backends on this node \
             (those on other nodes are not affected)"
        ),
        remedy: format!("accept them with `{to}` and `{from}`, where PODS are the addresses of this node's pods"),
    }
}
