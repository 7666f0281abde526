//! Formats what `waggle get` prints, one text after the other.

use std::mem;

use serde::Serialize;

use crate::commands::{
    cli::{GetArgs, Output},
    get::{Columns, Look, Row, WatchEvent, json, yaml},
};

/// Formats one text after the other.
pub(super) struct Printer {
    output: Output,
    columns: Columns,
    /// How the next table looks. Only the first has titles.
    look: Look,
    /// Something has been printed.
    has_begun: bool,
    /// With what has happened to each row.
    with_events: bool,
}

impl Printer {
    pub(super) fn new(args: &GetArgs) -> Self {
        Self {
            output: args.output,
            columns: Columns::default(),
            look: Look {
                is_wide: args.output == Output::Wide,
                is_bare: args.no_headers,
                with_labels: args.show_labels,
            },
            has_begun: false,
            with_events: args.output_watch_events,
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.output, Output::Table | Output::Wide)
    }

    /// Formats rows that have changed; the first time, all rows. A table has titles once, above its first rows. Rows are one JSON
    /// or YAML document, events are one each.
    pub(super) fn text<R: Row>(&mut self, events: &[WatchEvent<R>]) -> anyhow::Result<String> {
        match self.output {
            Output::Table | Output::Wide => Ok(self.table(events)),
            Output::Json | Output::Yaml if self.with_events => {
                events.iter().map(|event| self.document(event)).collect()
            }
            Output::Json | Output::Yaml => self.document(&events.iter().map(|event| &event.object).collect::<Vec<_>>()),
        }
    }

    fn table<R: Row>(&mut self, events: &[WatchEvent<R>]) -> String {
        if events.is_empty() {
            return String::new();
        }
        let look = self.look;
        self.look.is_bare = true;
        if self.with_events {
            self.columns.format_events(events, look)
        } else {
            self.columns.format(events.iter().map(|event| &event.object), look)
        }
    }

    /// Formats a document. Several YAML documents are separated.
    fn document(&mut self, content: &impl Serialize) -> anyhow::Result<String> {
        let is_first = !mem::replace(&mut self.has_begun, true);
        Ok(match self.output {
            Output::Yaml if is_first => yaml(content)?,
            Output::Yaml => "---\n".to_owned() + &yaml(content)?,
            Output::Table | Output::Wide | Output::Json => json(content)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::commands::get::{
        EventType,
        sample::{Lamp, lamp},
    };

    fn printer(output: Output, with_events: bool) -> Printer {
        Printer { output, columns: Columns::default(), look: Look::default(), has_begun: false, with_events }
    }

    fn event(event_type: EventType, name: &'static str, is_on: bool) -> WatchEvent<Lamp> {
        WatchEvent { event_type, object: lamp(name, is_on, 0) }
    }

    #[test]
    fn later_rows_stand_below_the_first_ones() {
        let mut printer = printer(Output::Table, false);
        let mut text = |events: &[WatchEvent<Lamp>]| printer.text(events).unwrap();
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[event(EventType::Added, "kitchen", true)]), "NAME      ON\nkitchen   true\n");
        assert_eq!(text(&[event(EventType::Modified, "hall", false)]), "hall      false\n");
        assert_eq!(text(&[event(EventType::Deleted, "hall", false)]), "hall      false\n", "as it was last");
    }

    #[test]
    fn tables_with_events_say_what_has_happened_to_each_row() {
        let mut printer = printer(Output::Table, true);
        let mut text = |events: &[WatchEvent<Lamp>]| printer.text(events).unwrap();
        assert_eq!(text(&[event(EventType::Added, "hall", true)]), "EVENT   NAME   ON\nADDED   hall   true\n");
        assert_eq!(text(&[event(EventType::Deleted, "hall", true)]), "DELETED   hall   true\n");
    }

    #[test]
    fn each_change_is_a_document_of_its_own() {
        let mut yaml = printer(Output::Yaml, false);
        let texts = [vec![], vec![event(EventType::Added, "a", true)]].map(|rows| yaml.text(&rows).unwrap());
        let documents: Vec<Vec<Value>> = serde_saphyr::from_multiple(&texts.concat()).unwrap();
        assert_eq!(documents.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn each_event_is_a_document_of_its_own() {
        let events = [event(EventType::Added, "a", true), event(EventType::Deleted, "b", false)];
        let wanted = [
            json!({"type": "ADDED", "object": {"name": "a", "isOn": true, "age": 0}}),
            json!({"type": "DELETED", "object": {"name": "b", "isOn": false, "age": 0}}),
        ];
        let text = |output| {
            let mut printer = printer(output, true);
            [&events[..0], &events[..1], &events[1..]].map(|events| printer.text(events).unwrap()).concat()
        };
        let json = text(Output::Json);
        let json: Vec<Value> = serde_json::Deserializer::from_str(&json).into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(json, wanted);
        assert_eq!(serde_saphyr::from_multiple::<Value>(&text(Output::Yaml)).unwrap(), wanted);
    }
}
