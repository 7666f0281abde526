//! A setting of the host that stops packets, and its remedy.

use std::fmt;

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// What is set, and what follows.
    pub(crate) problem: String,
    /// What to do.
    pub(crate) remedy: String,
}

/// The text of the log line.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}
