//! The sentence about a chain that refuses what is forwarded, whoever keeps it.

use std::fmt;

/// What a rule that looks at no packet does with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It refuses them, by the statement of this name.
    Refuses(&'static str),
    /// It lets them out of the chain: no later rule of it counts.
    Passes,
}

/// What in a chain refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its policy is to drop.
    Policy,
    /// A rule that looks at no packet, of this name.
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
            Self::Policy => out.write_str("drops what is forwarded unless a rule of it accepts that"),
            Self::Rule(statement) => write!(
                out,
                "ends with an unconditional {statement}: it refuses what is forwarded unless an earlier rule accepts that"
            ),
        }
    }
}

/// Says what `chain` hurts and which two commands help: that accept what goes to pods, and what comes from them.
pub(super) fn accept_in(chain: &str, refusal: Refusal, commands: [&str; 2]) -> String {
    let [to, from] = commands;
    format!(
        "{chain} {refusal}; \
         where none accepts what goes to pods of this node, and comes from them, clients outside don't reach backends here \
         (those on other nodes they do); accept that with `{to}` and `{from}`, \
         where PODS are the addresses of this node's pods"
    )
}
