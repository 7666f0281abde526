//! The log of a process, searchable while it is written.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::error::{Error, Result};

/// How many of the last lines a failed wait shows.
const SHOWN: usize = 40;

/// One line.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// As written.
    pub text: String,
    json: Value,
}

impl LogLine {
    fn new(text: String) -> Self {
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { text, json }
    }

    /// A field of a JSON line, whether events are flat or have their own in `fields`.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.json.get("fields").and_then(|fields| fields.get(name)).or_else(|| self.json.get(name))
    }

    /// The message of a JSON line, else the whole line.
    pub fn message(&self) -> &str {
        self.field("message").and_then(Value::as_str).unwrap_or(&self.text)
    }
}

/// All lines so far; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Log {
    shared: Arc<(Mutex<Vec<LogLine>>, Condvar)>,
}

impl Log {
    /// Adds the lines of `pipe` as they come, until its other end is closed.
    pub fn follow(&self, pipe: impl Read + Send + 'static) {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(std::result::Result::ok) {
                log.push(line);
            }
        });
    }

    /// Adds a line.
    pub fn push(&self, text: String) {
        let (lines, grown) = &*self.shared;
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(LogLine::new(text));
        grown.notify_all();
    }

    /// Number of lines: where `wait` begins to look if only later ones count.
    pub fn mark(&self) -> usize {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The lines since `mark`.
    pub fn since(&self, mark: usize) -> Vec<LogLine> {
        let lines = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.get(mark..).unwrap_or_default().to_vec()
    }

    /// Waits for the first line since `mark` that `wanted` accepts. The error shows the last lines.
    pub fn wait(&self, mark: usize, timeout: Duration, wanted: impl Fn(&LogLine) -> bool) -> Result<LogLine> {
        let (lines, grown) = &*self.shared;
        let start = Instant::now();
        let mut guard = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looked = mark;
        loop {
            if let Some(found) = guard.iter().skip(looked).find(|line| wanted(line)) {
                return Ok(found.clone());
            }
            looked = looked.max(guard.len());
            let Some(left) = timeout.checked_sub(start.elapsed()) else {
                return Err(not_seen(&guard, timeout));
            };
            guard = grown.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn not_seen(lines: &[LogLine], elapsed: Duration) -> Error {
    let last = &lines[lines.len().saturating_sub(SHOWN)..];
    let context = last.iter().map(|line| format!("\n  {}", line.text)).collect::<String>();
    Error::Timeout { what: "a log line".into(), elapsed, context: format!("; last lines:{context}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_flat_and_nested() {
        for text in [
            r#"{"level":"INFO","fields":{"message":"programmed","services":3}}"#,
            r#"{"level":"INFO","message":"programmed","services":3}"#,
        ] {
            let line = LogLine::new(text.into());
            assert_eq!(line.message(), "programmed");
            assert_eq!(line.field("services"), Some(&3.into()));
        }
        assert_eq!(LogLine::new("thread panicked".into()).message(), "thread panicked");
    }

    #[test]
    fn wait_sees_later_lines_and_ignores_earlier_ones() {
        let log = Log::default();
        log.push("one".into());
        let mark = log.mark();
        let early = log.wait(mark, Duration::from_millis(10), |line| line.text == "one");
        assert!(early.unwrap_err().to_string().contains("one"), "the error shows the log");
        let writer = log.clone();
        let thread = thread::spawn(move || writer.push("one".into()));
        assert!(log.wait(mark, Duration::from_secs(5), |line| line.text == "one").is_ok());
        thread.join().unwrap();
    }
}
