//! The log text about a chain that refuses forwarded packets, for nftables and iptables.

use std::fmt;

/// What a rule without conditions does with all packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It refuses them, with the statement of this name.
    Refuses(&'static str),
    /// It ends the chain for them without refusing them, so that no later rule counts.
    Passes,
}

/// What in a chain refuses packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its policy is drop.
    Policy,
    /// A rule without conditions, with the statement of this name.
    Rule(&'static str),
}

impl End {
    pub(super) const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Refuses(statement) => Some(Refusal::Rule(statement)),
            Self::Passes => None,
        }
    }
}

impl fmt::Display for Refusal {
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

/// The log text: what `chain` breaks, and the two commands that accept packets to pods and from pods.
pub(super) fn accept_in(chain: &str, refusal: Refusal, commands: [&str; 2]) -> String {
    let [to, from] = commands;
    format!(
        "{chain} {refusal}; \
         unless one accepts packets to pods of this node and from them, clients outside don't reach backends here \
         (but those on other nodes); accept them with `{to}` and `{from}`, \
         where PODS are the addresses of this node's pods"
    )
}
