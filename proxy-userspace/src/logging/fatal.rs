//! The last log lines of an agent: why it ends, and where it panicked. They have the log's format, so that log collectors can
//! parse them, and they are logged at every level, even `off`.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    error::Error,
    panic::{self, PanicHookInfo},
    thread,
};

use tracing::{Level, enabled, error};
use tracing_subscriber::filter::{Directive, ParseError};

use super::errors::Report;

/// Returns the directive that lets these lines through a filter.
pub fn directive() -> Result<Directive, ParseError> {
    concat!(module_path!(), "=error").parse()
}

/// Logs the error that ends the agent. Returns false if there is no log: before it has started, and in other commands.
#[must_use]
pub fn log(error: &(dyn Error + 'static)) -> bool {
    let logs = enabled!(Level::ERROR);
    if logs {
        error!(error = %Report(error), "the agent ends");
    }
    logs
}

/// Makes panics log a line. A panic inside the log itself is printed by Rust's own hook.
pub fn log_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| if enabled!(Level::ERROR) { log_panic(panic) } else { print(panic) }));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    // As in Rust's own hook, only if RUST_BACKTRACE asks for it.
    let backtrace = Some(Backtrace::capture()).filter(|backtrace| backtrace.status() == BacktraceStatus::Captured);
    error!(
        thread = thread::current().name(),
        at = panic.location().map(ToString::to_string),
        error = panic.payload_as_str(),
        backtrace = backtrace.map(|backtrace| backtrace.to_string()),
        "the agent has panicked: this is a bug in Waggle, please report it"
    );
}
