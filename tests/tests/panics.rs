//! A panic of the agent is a line of its log. This is a program of its own, because a panic hook is for the whole process.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    thread,
};

use proxy_userspace::logging::fatal;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no thread panics with this lock held").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_one_line_in_the_format_of_the_log() {
    let lines = Lines::default();
    let written = lines.clone();
    let filter = EnvFilter::new("off").add_directive(fatal::directive().unwrap());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || lines.clone());
    log.json().flatten_event(true).init();
    fatal::log_panics();
    let panicked = thread::Builder::new().name("worker".to_owned()).spawn(|| panic!("slot {} is gone", 7)).unwrap();
    assert!(panicked.join().is_err());
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&line["level"], &line["thread"], &line["error"]),
        (&"ERROR".into(), &"worker".into(), &"slot 7 is gone".into())
    );
    assert!(line["at"].as_str().unwrap().starts_with("tests/tests/panics.rs:"), "{line}");
    assert!(line["message"].as_str().unwrap().starts_with("the agent has panicked"), "{line}");
}
