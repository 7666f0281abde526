//! Formats rows as aligned columns for people, or as one JSON array for programs.

use serde::Serialize;

/// A row of a table.
pub trait Row: Serialize {
    /// The titles of the columns.
    const TITLES: &'static [&'static str];

    /// Returns the row's cells, one for each title.
    fn cells(&self) -> Vec<String>;
}

/// The number of spaces between columns.
const GAP: usize = 3;

/// Formats rows as aligned columns under their titles. Every line ends with a newline.
pub fn table<R: Row>(rows: &[R]) -> String {
    let titles = R::TITLES.iter().map(|title| (*title).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..R::TITLES.len()).map(|column| width(column).unwrap_or(0) + GAP).collect();
    let mut text = String::new();
    for line in &lines {
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
