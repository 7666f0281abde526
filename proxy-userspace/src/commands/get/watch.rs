//! What changes from one look to the next, in the form of the API's watch events. Pure.

use std::{collections::BTreeMap, fmt, mem};

use serde::Serialize;

use super::output::Row;

/// What has happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    /// It was not there before.
    Added,
    /// One of its fields has changed.
    Modified,
    /// It is no longer there, or no longer among the rows that are asked for.
    Deleted,
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        })
    }
}

/// A change of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WatchEvent<R> {
    /// What has happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The row as it is; a deleted one as it was last.
    pub object: R,
}

/// The rows of the last look.
#[derive(Clone, Debug)]
pub struct Seen<R: Row> {
    /// By key: what makes the row equal to its successor, and the row.
    rows: BTreeMap<R::Key, (String, R)>,
}

impl<R: Row> Default for Seen<R> {
    fn default() -> Self {
        Self { rows: BTreeMap::new() }
    }
}

impl<R: Row + Clone> Seen<R> {
    /// Returns what has changed since the last call: first deleted rows by their keys, then the others in the order of `rows`.
    /// The first call returns every row as added. A row whose labels are not known any more keeps the last ones: it is one of a
    /// Service that goes.
    pub fn take(&mut self, rows: Vec<R>) -> Result<Vec<WatchEvent<R>>, serde_json::Error> {
        let mut last = mem::take(&mut self.rows);
        let mut changed = Vec::new();
        for mut row in rows {
            let key = row.key();
            let before = last.remove(&key);
            if let (None, Some(labels)) = (row.labels(), before.as_ref().and_then(|(_, before)| before.labels())) {
                row.set_labels(labels.clone());
            }
            let watched = row.watched()?;
            let event_type = match before {
                None => Some(EventType::Added),
                Some((before, _)) => (before != watched).then_some(EventType::Modified),
            };
            changed.extend(event_type.map(|event_type| WatchEvent { event_type, object: row.clone() }));
            self.rows.insert(key, (watched, row));
        }
        let deleted = last.into_values().map(|(_, object)| WatchEvent { event_type: EventType::Deleted, object });
        Ok(deleted.chain(changed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Labels,
            sample::{Lamp, lamp},
            services,
            tests::snapshot,
        },
        *,
    };

    /// The type of each event, and the name and state of its lamp.
    fn changes(seen: &mut Seen<Lamp>, rows: &[Lamp]) -> Vec<(EventType, &'static str, bool)> {
        let events = seen.take(rows.to_vec()).unwrap();
        events.into_iter().map(|event| (event.event_type, event.object.name, event.object.is_on)).collect()
    }

    #[test]
    fn watching_shows_rows_that_come_change_or_go() {
        use EventType::{Added, Deleted, Modified};
        let mut seen = Seen::default();
        let mut changes = |rows: &[Lamp]| changes(&mut seen, rows);
        let first = [lamp("a", true, 0), lamp("b", true, 0)];
        assert_eq!(changes(&first), [(Added, "a", true), (Added, "b", true)]);
        assert_eq!(changes(&[lamp("a", true, 1), lamp("b", false, 1)]), [(Modified, "b", false)]);
        assert_eq!(changes(&[lamp("b", false, 2)]), [(Deleted, "a", true)]);
        assert_eq!(changes(&[lamp("b", false, 3)]), []);
        let last = [lamp("c", true, 4), lamp("a", false, 4)];
        assert_eq!(changes(&last), [(Deleted, "b", false), (Added, "c", true), (Added, "a", false)]);
    }

    #[test]
    fn a_deleted_row_is_as_it_was_last() {
        let mut seen = Seen::default();
        seen.take(vec![lamp("a", true, 0)]).unwrap();
        seen.take(vec![lamp("a", true, 7)]).unwrap();
        assert_eq!(seen.take(Vec::new()).unwrap()[0].object, lamp("a", true, 7));
    }

    #[test]
    fn a_row_of_a_service_that_goes_keeps_its_labels() {
        let labels: Labels = [("app".to_owned(), "web".to_owned())].into();
        let [without, mut with] = [(); 2].map(|()| services(&snapshot()).remove(0));
        with.set_labels(labels.clone());
        let mut seen = Seen::default();
        seen.take(vec![with]).unwrap();
        assert!(seen.take(vec![without]).unwrap().is_empty(), "it has not changed");
        let deleted = seen.take(Vec::new()).unwrap().remove(0);
        assert_eq!((deleted.event_type, deleted.object.labels()), (EventType::Deleted, Some(&labels)));
    }

    #[test]
    fn events_have_the_form_of_the_apis() {
        let event = WatchEvent { event_type: EventType::Deleted, object: lamp("a", true, 0) };
        let expected = serde_json::json!({"type": "DELETED", "object": {"name": "a", "isOn": true, "age": 0}});
        assert_eq!(serde_json::to_value(&event).unwrap(), expected);
        assert_eq!(event.event_type.to_string(), expected["type"]);
    }
}
