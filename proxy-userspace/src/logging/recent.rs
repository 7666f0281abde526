//! Keeps the last warnings and errors of the log in memory, for the agent's status. Writes nothing.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// How many lines are kept.
const LINES: usize = 10;
/// The most characters of a line that are kept: an error may quote the whole log of the verifier.
const LENGTH: usize = 500;

static RECENT: Mutex<VecDeque<RecentLine>> = Mutex::new(VecDeque::new());

/// A warning or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentLine {
    /// When it was logged.
    pub time: Timestamp,
    /// Whether it is an error.
    pub is_error: bool,
    /// The message, then the fields.
    pub text: String,
}

/// Returns the last warnings and errors that were logged, the oldest first.
pub fn lines() -> Vec<RecentLine> {
    recent().iter().cloned().collect()
}

fn recent() -> MutexGuard<'static, VecDeque<RecentLine>> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The layer of the log that keeps the lines which pass the log's filter.
#[derive(Clone, Copy, Debug)]
pub struct RecentLines;

impl<S: Subscriber> Layer<S> for RecentLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        // In tracing's order, a more detailed level is greater.
        if level <= Level::WARN {
            let mut text = LineText::default();
            event.record(&mut text);
            let line = RecentLine { time: Timestamp::now(), is_error: level == Level::ERROR, text: text.to_string() };
            push(&mut recent(), line);
        }
    }
}

fn push(lines: &mut VecDeque<RecentLine>, line: RecentLine) {
    while lines.len() >= LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}

/// The text of a line.
#[derive(Debug, Default)]
struct LineText {
    message: String,
    fields: String,
}

impl Visit for LineText {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string can't fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // Where a line of another library comes from.
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

impl fmt::Display for LineText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}{}", self.message, self.fields);
        match text.char_indices().nth(LENGTH) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::{error, info, subscriber::with_default, warn};
    use tracing_subscriber::{layer::SubscriberExt as _, registry};

    use super::*;

    #[test]
    fn warnings_and_errors_are_kept_with_their_fields() {
        let marker = "recent-lines-test";
        with_default(registry().with(RecentLines), || {
            info!(marker, "all is well");
            warn!(marker, device = "eth0", index = 2, "device not served");
            error!(marker, error = %"x".repeat(2 * LENGTH), "degraded");
        });
        let kept: Vec<_> = lines().into_iter().filter(|line| line.text.contains(marker)).collect();
        let [warning, error] = &kept[..] else { panic!("{kept:?}") };
        assert_eq!(warning.text, "device not served marker=recent-lines-test device=eth0 index=2");
        assert_eq!((warning.is_error, error.is_error), (false, true));
        assert_eq!(error.text.chars().count(), LENGTH + 1);
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut lines = VecDeque::new();
        for number in 0..2 * LINES {
            push(&mut lines, RecentLine { time: Timestamp::UNIX_EPOCH, is_error: false, text: number.to_string() });
        }
        assert_eq!((lines.len(), lines[0].text.as_str()), (LINES, "10"));
    }
}
