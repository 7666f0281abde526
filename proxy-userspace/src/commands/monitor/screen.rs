//! Prints events, and how many were lost.

use std::{io, mem};

use serde::Serialize;
use serde_json::json;

use super::event_row::EventRow;
use crate::commands::{
    cli::{MonitorArgs, Output},
    get::{Columns, Look, yaml},
    show::print,
};

/// Prints events in the order in which they come.
pub struct Screen {
    output: Output,
    columns: Columns,
    is_bare: bool,
    has_begun: bool,
    /// How many more events are shown; `None` is without end.
    left: Option<u64>,
}

impl Screen {
    pub fn new(args: &MonitorArgs) -> Self {
        let (output, is_bare, left) = (args.output, args.no_headers, args.count);
        Self { output, columns: Columns::default(), is_bare, has_begun: false, left }
    }

    /// Prints the titles of a table. Returns false if the reader has closed the pipe.
    pub fn begin(&mut self) -> io::Result<bool> {
        if matches!(self.output, Output::Table | Output::Wide) { print(self.table(&[]).as_bytes()) } else { Ok(true) }
    }

    /// Prints events, as many as are still wanted. Returns false if no more are wanted, or the reader has closed the pipe.
    pub fn show(&mut self, events: &[EventRow]) -> anyhow::Result<bool> {
        let wanted =
            self.left.map_or(events.len(), |left| usize::try_from(left).unwrap_or(usize::MAX).min(events.len()));
        let events = &events[..wanted];
        self.left = self.left.map(|left| left - wanted as u64);
        let text = match self.output {
            Output::Table | Output::Wide => self.table(events),
            Output::Json | Output::Yaml => {
                events.iter().map(|event| self.document(event)).collect::<anyhow::Result<_>>()?
            }
        };
        Ok(print(text.as_bytes())? && self.left != Some(0))
    }

    /// Says how many events were lost since the last time, if any were: beside a table on standard error, else as a document.
    /// Returns false if the reader has closed the pipe.
    pub fn show_lost(&mut self, lost: u64) -> anyhow::Result<bool> {
        if lost == 0 {
            return Ok(true);
        }
        if matches!(self.output, Output::Table | Output::Wide) {
            eprintln!(
                "waggle: {lost} events lost: they came faster than they were read; narrow them by --type, a Service or --sample"
            );
            return Ok(true);
        }
        let document = self.document(&json!({ "type": "lost", "count": lost }))?;
        Ok(print(document.as_bytes())?)
    }

    fn table(&mut self, events: &[EventRow]) -> String {
        let is_bare = mem::replace(&mut self.is_bare, true);
        let look = Look { is_wide: self.output == Output::Wide, is_bare, ..Look::default() };
        self.columns.format(events, look)
    }

    /// Formats a document: one line of JSON, or YAML behind a separator.
    fn document(&mut self, content: &impl Serialize) -> anyhow::Result<String> {
        if self.output != Output::Yaml {
            return Ok(serde_json::to_string(content)? + "\n");
        }
        let separator = if mem::replace(&mut self.has_begun, true) { "---\n" } else { "" };
        Ok(separator.to_owned() + &yaml(content)?)
    }
}
