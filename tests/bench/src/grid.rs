//! Rows of cells as a table: aligned for a terminal, or Markdown.

/// A table with as many columns as its head.
#[derive(Debug)]
pub struct Grid {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Grid {
    /// The columns' titles; columns with `true` hold numbers and are aligned to the right.
    pub fn new(head: &[(&str, bool)]) -> Self {
        let titles = head.iter().map(|(title, _)| (*title).to_owned()).collect();
        Self { rows: vec![titles], right: head.iter().map(|(_, right)| *right).collect() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }

    /// The table as text.
    pub fn text(&self, markdown: bool) -> String {
        if markdown { self.markdown() } else { self.aligned() }
    }

    fn aligned(&self) -> String {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..self.right.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).zip(&self.right).map(|((cell, width), right)| {
                if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        self.rows.iter().map(line).collect()
    }

    fn markdown(&self) -> String {
        let line = |row: &Vec<String>| {
            let cells: Vec<_> = row.iter().map(|cell| cell.trim()).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut lines: Vec<_> = self.rows.iter().map(line).collect();
        let rule: Vec<_> = self.right.iter().map(|right| if *right { "--:" } else { "---" }).collect();
        lines.insert(1, format!("| {} |\n", rule.join(" | ")));
        lines.concat()
    }
}

/// A number with its significant digits.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return String::new();
    }
    if value < 1000.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(&[("", false), ("µs", true), ("bar", false)]);
        grid.push(["connect", "10.00", "≤ 1 ok"].map(String::from));
        grid.push(["  p99", "8.00", ""].map(String::from));
        grid
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(grid().text(false), "            µs  bar\nconnect  10.00  ≤ 1 ok\n  p99     8.00\n");
    }

    #[test]
    fn markdown_has_a_rule_below_the_head() {
        assert_eq!(
            grid().text(true),
            "|  | µs | bar |\n| --- | --: | --- |\n| connect | 10.00 | ≤ 1 ok |\n| p99 | 8.00 |  |\n"
        );
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        assert_eq!([number(f64::NAN), number(12.345), number(12_345.6)], ["", "12.35", "12346"].map(String::from));
    }
}
