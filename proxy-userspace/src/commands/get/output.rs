//! Formats rows as aligned columns for people, or as JSON or YAML for programs.

use serde::Serialize;

/// A row of a table.
pub trait Row: Serialize {
    /// What the rows are, as `waggle get` is asked for them.
    const KIND: &'static str;
    /// The titles of the columns.
    const TITLES: &'static [&'static str];
    /// The titles of the further columns of wide tables.
    const WIDE: &'static [&'static str];

    /// Returns the row's cells, one for each title.
    fn cells(&self) -> Vec<String>;

    /// Returns the cells of the further columns, one for each title.
    fn wide_cells(&self) -> Vec<String>;

    /// Whether the row is meant by `name`.
    fn is_named(&self, name: &str) -> bool;

    /// Whether the row belongs to a namespace; `None` if such rows belong to none.
    fn is_in(&self, namespace: &str) -> Option<bool>;
}

/// How tables look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// With the further columns.
    pub is_wide: bool,
    /// Without titles.
    pub is_bare: bool,
}

/// The number of spaces between columns.
const GAP: usize = 3;

/// Formats rows as aligned columns under their titles. Every line ends with a newline.
pub fn table<'a, R: Row + 'a>(rows: impl IntoIterator<Item = &'a R>, look: Look) -> String {
    let further = |is_wide: bool| if is_wide { R::WIDE } else { &[] };
    let titles = R::TITLES.iter().chain(further(look.is_wide)).map(|title| (*title).to_owned()).collect();
    let cells = |row: &R| if look.is_wide { [row.cells(), row.wide_cells()].concat() } else { row.cells() };
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(rows.into_iter().map(cells)).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..lines[0].len()).map(|column| width(column).unwrap_or(0) + GAP).collect();
    let mut text = String::new();
    for line in lines.iter().skip(usize::from(look.is_bare)) {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(padded.collect::<String>().trim_end());
        text.push('\n');
    }
    text
}

/// Formats rows as one indented JSON array with a final newline.
pub fn json<R: Row>(rows: &[R]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(rows).map(|text| text + "\n")
}

/// Formats rows as one YAML sequence.
pub fn yaml<R: Row>(rows: &[R]) -> Result<String, serde_saphyr::SerializeError> {
    serde_saphyr::to_string(&rows)
}
