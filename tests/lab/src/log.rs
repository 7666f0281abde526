//! The log of a process, searchable while it is written.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    error::{Error, Result},
    wait::scaled,
};

/// How many of the last lines a failed wait shows.
const SHOWN: usize = 40;

/// One line.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// The line as written.
    pub text: String,
    json: Value,
}

impl LogLine {
    fn new(text: String) -> Self {
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { text, json }
    }

    /// A field of a JSON line: of the object itself, or of its object `fields`.
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
    shared: Arc<(Mutex<Content>, Condvar)>,
}

#[derive(Debug, Default)]
struct Content {
    lines: Vec<LogLine>,
    /// The number of pipes followed so far, and of those that have been closed.
    followed: usize,
    closed: usize,
}

impl Content {
    /// Whether no more line can come.
    fn ended(&self) -> bool {
        self.followed > 0 && self.followed == self.closed
    }
}

impl Log {
    /// Adds the lines of `pipe` as they arrive, until its other end is closed.
    pub fn follow(&self, pipe: impl Read + Send + 'static) {
        let log = self.clone();
        self.lock().followed += 1;
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(std::result::Result::ok) {
                log.push(line);
            }
            log.lock().closed += 1;
            log.shared.1.notify_all();
        });
    }

    /// Adds a line.
    pub fn push(&self, text: String) {
        self.lock().lines.push(LogLine::new(text));
        self.shared.1.notify_all();
    }

    /// The number of lines so far, a mark for `wait` to look at later lines only.
    pub fn mark(&self) -> usize {
        self.lock().lines.len()
    }

    /// The lines since `mark`.
    pub fn since(&self, mark: usize) -> Vec<LogLine> {
        self.lock().lines.get(mark..).unwrap_or_default().to_vec()
    }

    /// Waits for the first line since `mark` that `wanted` accepts, at most until all writers have closed their pipes.
    /// The error shows the last lines.
    pub fn wait(&self, mark: usize, timeout: Duration, wanted: impl Fn(&LogLine) -> bool) -> Result<LogLine> {
        let (start, timeout) = (Instant::now(), scaled(timeout));
        let mut content = self.lock();
        let mut looked = mark;
        loop {
            if let Some(found) = content.lines.iter().skip(looked).find(|line| wanted(line)) {
                return Ok(found.clone());
            }
            looked = looked.max(content.lines.len());
            let elapsed = start.elapsed();
            if elapsed >= timeout || content.ended() {
                return Err(not_seen(&content, elapsed));
            }
            let woken = self.shared.1.wait_timeout(content, timeout.saturating_sub(elapsed));
            content = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // Lines are only ever added: a panic in another thread leaves the list whole.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_seen(content: &Content, elapsed: Duration) -> Error {
    let lines = &content.lines;
    let last = &lines[lines.len().saturating_sub(SHOWN)..];
    let last: Vec<_> = last.iter().map(|line| line.text.as_str()).collect();
    let end = if content.ended() { "; the process has ended" } else { "" };
    Error::Timeout {
        what: "a log line".into(),
        elapsed,
        context: format!("{end}; last lines:\n  {}", last.join("\n  ")),
    }
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
