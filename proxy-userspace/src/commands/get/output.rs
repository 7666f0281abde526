//! Formats rows as aligned columns for people, or as JSON or YAML for programs.

use serde::Serialize;

use super::{
    labels::{Labels, cell},
    service_port::ServicePort,
    watch::WatchEvent,
};

/// A row of a table.
pub trait Row: Serialize {
    /// What tells a row from all others of its kind, at any time.
    type Key: Ord;

    /// What the rows are, as `waggle get` is asked for them.
    const KIND: &'static str;
    /// The titles of the further columns of wide tables.
    const WIDE: &'static [&'static str] = &[];
    /// The names of the fields that are numbers, or absent.
    const NUMBERS: &'static [&'static str] = &[];

    /// Returns the titles of the columns.
    fn titles() -> Vec<&'static str>;

    /// Returns the names of the fields by which rows can be selected: those in the JSON that have no fields themselves.
    fn fields() -> Vec<&'static str>;

    /// Returns the row's key.
    fn key(&self) -> Self::Key;

    /// Returns the row's cells, one for each title.
    fn cells(&self) -> Vec<String>;

    /// Returns the cells of the further columns, one for each title.
    fn wide_cells(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the row is meant by `name`.
    fn is_named(&self, name: &str) -> bool;

    /// Whether the row belongs to a namespace. Rows that belong to none are shown for every namespace, as kubectl does.
    fn is_in(&self, _namespace: &str) -> bool {
        true
    }

    /// Returns the service port that the row belongs to, for kinds whose rows belong to one.
    fn service_port(&self) -> Option<&ServicePort> {
        None
    }

    /// Takes the labels of the row's Service, for kinds that show them.
    fn set_labels(&mut self, _labels: Labels) {}

    /// Returns the labels that the row has taken.
    fn labels(&self) -> Option<&Labels> {
        None
    }

    /// Returns the content by which `--watch` compares rows: all but values that change merely because time passes.
    fn watched(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// How a table looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// With the further columns.
    pub is_wide: bool,
    /// Without titles.
    pub is_bare: bool,
    /// With the labels that rows have taken, in the last column.
    pub with_labels: bool,
}

/// The number of spaces between columns.
const GAP: usize = 3;

/// The widths of a table's columns. They only grow, so that rows which are printed later stand below the earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Columns(Vec<usize>);

impl Columns {
    /// Formats rows as aligned columns. Every line ends with a newline.
    pub fn format<'a, R: Row + 'a>(&mut self, rows: impl IntoIterator<Item = &'a R>, look: Look) -> String {
        let lines = rows.into_iter().map(|row| cells(row, look)).collect();
        self.align(titles::<R>(look), lines, look)
    }

    /// Formats changed rows like [`Self::format`], behind a column that says what has happened to them.
    pub fn format_events<'a, R: Row + 'a>(
        &mut self,
        events: impl IntoIterator<Item = &'a WatchEvent<R>>,
        look: Look,
    ) -> String {
        let line = |event: &WatchEvent<R>| [vec![event.event_type.to_string()], cells(&event.object, look)].concat();
        let titles = [vec!["EVENT".to_owned()], titles::<R>(look)].concat();
        self.align(titles, events.into_iter().map(line).collect(), look)
    }

    fn align(&mut self, titles: Vec<String>, rows: Vec<Vec<String>>, look: Look) -> String {
        let lines: Vec<Vec<String>> = if look.is_bare { rows } else { [vec![titles], rows].concat() };
        self.widen(&lines);
        let mut text = String::new();
        for line in &lines {
            let padded = line.iter().zip(&self.0).map(|(cell, width)| format!("{cell:width$}"));
            text.push_str(padded.collect::<String>().trim_end());
            text.push('\n');
        }
        text
    }

    fn widen(&mut self, lines: &[Vec<String>]) {
        for line in lines {
            self.0.resize(self.0.len().max(line.len()), 0);
            for (width, cell) in self.0.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count() + GAP);
            }
        }
    }
}

fn titles<R: Row>(look: Look) -> Vec<String> {
    let further = if look.is_wide { R::WIDE } else { &[] };
    let labels = look.with_labels.then_some("LABELS");
    R::titles().iter().chain(further).chain(&labels).map(|title| (*title).to_owned()).collect()
}

fn cells(row: &impl Row, look: Look) -> Vec<String> {
    let further = if look.is_wide { row.wide_cells() } else { Vec::new() };
    let labels = look.with_labels.then(|| cell(row.labels()));
    row.cells().into_iter().chain(further).chain(labels).collect()
}

/// Formats rows as aligned columns under their titles.
pub fn table<'a, R: Row + 'a>(rows: impl IntoIterator<Item = &'a R>, look: Look) -> String {
    Columns::default().format(rows, look)
}

/// Formats lines of cells as aligned columns under their titles.
pub fn aligned(titles: &[&str], lines: Vec<Vec<String>>) -> String {
    let titles = titles.iter().map(|title| (*title).to_owned()).collect();
    Columns::default().align(titles, lines, Look::default())
}

/// Formats rows as one JSON array, or an event as one object.
pub fn json<T: Serialize + ?Sized>(content: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(content).map(|text| text + "\n")
}

/// Formats rows as one YAML sequence, or an event as one mapping.
pub fn yaml<T: Serialize + ?Sized>(content: &T) -> Result<String, serde_saphyr::SerializeError> {
    serde_saphyr::to_string(&content)
}
