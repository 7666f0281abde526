//! The figures of a growing cluster as a table.

use super::figures::Row;
use crate::grid::{Grid, number};

/// The table, with the bars.
pub fn text(rows: &[Row], markdown: bool) -> String {
    let mut grid = Grid::new(&[("growing cluster", false), ("Services", true), ("figure", true), ("bar", false)]);
    for row in rows {
        let services = row.services.map_or_else(String::new, |services| services.to_string());
        grid.push([row.title.to_owned(), services, number(row.value), bar(row)]);
    }
    grid.text(markdown)
}

fn bar(row: &Row) -> String {
    row.bar.map_or_else(String::new, |bar| format!("≤ {bar} {}", if row.value <= bar { "ok" } else { "missed" }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::figures::tests::{SIZES, figures};

    #[test]
    fn bars_are_judged() {
        let text = text(&figures().rows(SIZES), false);
        assert_eq!(text.matches("ok\n").count(), 8, "{text}");
        assert_eq!(text.matches("missed\n").count(), 5, "{text}");
        assert!(text.contains("≤ 1 ok") && text.contains("≤ 1.2 missed"), "{text}");
    }
}
