//! How errors are printed. The text of each error type says what failed, as operation and object, and never contains its
//! cause, which is its source. To log or print an error with its causes, print a [`Report`].

#[cfg(test)]
mod tests;

use std::{error::Error, fmt};

use aya::{BtfError, EbpfError, programs::ProgramError};
use kube::{
    client::{AuthError, RustlsTlsError},
    config::{InClusterError, KubeconfigError, LoadDataError},
    core::request,
    runtime::watcher,
};

/// Prints an error and its causes, joined by ": ".
#[derive(Debug)]
pub struct Report<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error = self.0;
        write!(f, "{error}")?;
        while let Some(cause) = error.source() {
            if !prints_cause(error) {
                write!(f, ": {cause}")?;
            }
            error = cause;
        }
        Ok(())
    }
}

/// True if an error's own text contains its cause, as in kube's errors and some of aya's.
fn prints_cause(error: &(dyn Error + 'static)) -> bool {
    is::<kube::Error>(error)
        || is::<watcher::Error>(error)
        || is::<KubeconfigError>(error)
        || is::<LoadDataError>(error)
        || is::<InClusterError>(error)
        || is::<AuthError>(error)
        || is::<RustlsTlsError>(error)
        || is::<request::Error>(error)
        || error.downcast_ref().is_some_and(loader_prints_cause)
        || error.downcast_ref().is_some_and(program_prints_cause)
        || matches!(error.downcast_ref(), Some(BtfError::LoadError { .. }))
}

/// True if an error is an `E` or a boxed `E`: a boxed source hides its type.
fn is<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<E>() || error.is::<Box<E>>()
}

const fn loader_prints_cause(error: &EbpfError) -> bool {
    use EbpfError::{BtfError, MapError, ParseError, ProgramError};
    matches!(error, ParseError(_) | BtfError(_) | MapError(_) | ProgramError(_))
}

const fn program_prints_cause(error: &ProgramError) -> bool {
    matches!(error, ProgramError::LoadError { .. } | ProgramError::Btf(BtfError::LoadError { .. }))
}
