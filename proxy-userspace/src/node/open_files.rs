//! Raises the limit of open files. Each `healthCheckNodePort` needs a listener, and service managers start processes with
//! a soft limit of 1024 because of select(2), which the agent does not use.

use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit, setrlimit},
};

/// Why the limit can't be raised.
#[derive(Debug, thiserror::Error)]
#[error("raise the soft limit of open files")]
pub struct OpenFilesError(#[from] Errno);

/// Raises the soft limit to the hard one, which needs no privilege.
pub fn raise_limit() -> Result<(), OpenFilesError> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
