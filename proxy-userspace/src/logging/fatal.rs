//! The last lines of an agent: why it ends, and where it has panicked. They have the log's format, so that whatever collects
//! the log can read them, and they are there at every level, `off` included.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    error::Error,
    panic::{self, PanicHookInfo},
    thread,
};

use tracing::{Level, enabled, error};
use tracing_subscriber::filter::{Directive, ParseError};

use super::errors::Report;

/// What lets these lines through a filter.
pub fn directive() -> Result<Directive, ParseError> {
    concat!(module_path!(), "=error").parse()
}

/// Logs the error that ends the agent. Returns false if nothing logs: before the log has started, and in other commands.
#[must_use]
pub fn log(error: &(dyn Error + 'static)) -> bool {
    let logs = enabled!(Level::ERROR);
    if logs {
        error!(error = %Report(error), "the agent ends");
    }
    logs
}

/// Makes panics lines of the log. A panic inside the log itself is still printed as Rust prints it.
pub fn log_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| if enabled!(Level::ERROR) { log_panic(panic) } else { print(panic) }));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    // As Rust does, only where RUST_BACKTRACE asks for it.
    let backtrace = Some(Backtrace::capture()).filter(|backtrace| backtrace.status() == BacktraceStatus::Captured);
    error!(
        thread = thread::current().name(),
        at = panic.location().map(ToString::to_string),
        error = panic.payload_as_str(),
        backtrace = backtrace.map(|backtrace| backtrace.to_string()),
        "the agent has panicked: this is a fault of Waggle, please report it"
    );
}
