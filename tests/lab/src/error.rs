//! What can go wrong while a lab is built or used. Failures of a *socket* inside the lab are test results, not lab
//! errors: they are [`Failure`](super::protocol::Failure).

use std::{io, time::Duration};

/// Result of a lab operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An operation of a lab failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call or file operation failed.
    #[error("{operation}")]
    Io {
        /// Operation and object.
        operation: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// A command ended with an error.
    #[error("{command}: {stderr}")]
    Command {
        /// The command with its input.
        command: String,
        /// What it wrote on stderr.
        stderr: String,
    },
    /// A name that cannot become a device, namespace and folder name.
    #[error("name {0:?}: use 1 to 11 characters of a-z, 0-9 and -")]
    Name(String),
    /// More hosts than the address plan has room for.
    #[error("add {0}: the lab's address plan has no room for more")]
    Full(&'static str),
    /// A program that the lab starts has not been built.
    #[error("find program {name}: build it, or name it in {variable}")]
    Program {
        /// The program's file name.
        name: String,
        /// Environment variable that overrides the search.
        variable: &'static str,
    },
    /// A page has not as many commands as a test types.
    #[error(
        "{page}, {heading:?}: {} commands begin with {start:?}, not {wanted}: change the test that types them; there are {found:?}",
        found.len()
    )]
    Commands {
        /// The page's path.
        page: &'static str,
        /// The text of the heading.
        heading: String,
        /// How the commands begin.
        start: String,
        /// How many the test types.
        wanted: usize,
        /// Those of the page.
        found: Vec<String>,
    },
    /// A condition was not met in time.
    #[error("wait {elapsed:?} for {what}: not seen{context}")]
    Timeout {
        /// The condition that was waited for.
        what: String,
        /// How long the lab waited.
        elapsed: Duration,
        /// More lines for the reader of a failed test; may be empty.
        context: String,
    },
    /// A socket operation failed that the lab itself depends on.
    #[error(transparent)]
    Socket(#[from] super::protocol::Failure),
}

/// Names the operation that an I/O error belongs to.
pub(super) trait WithContext<T> {
    /// `operation` is verb and object: "create cgroup /x/y".
    fn with_context(self, operation: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> WithContext<T> for std::result::Result<T, E> {
    fn with_context(self, operation: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { operation: operation(), source: source.into() })
    }
}
