//! The figures of sockets as a table.

use crate::{
    figures::{Figures, Measured, Proxy},
    grid::{Grid, number},
    orders::Work,
    stats::median,
};

/// The columns; those of numbers are aligned to the right.
const HEAD: [(&str, bool); 8] = [
    ("", false),
    ("proxy", false),
    ("Services", true),
    ("direct", true),
    ("ClusterIP", true),
    ("ratio", true),
    ("quartiles", true),
    ("bar", false),
];

/// The table.
pub fn text(figures: &Figures, markdown: bool) -> String {
    let mut grid = Grid::new(&HEAD);
    figures.rows().into_iter().flat_map(lines).for_each(|line| grid.push(line));
    grid.text(markdown)
}

/// The lines of one measurement: three for connects.
fn lines(row: &Measured) -> Vec<[String; 8]> {
    let outcome = &row.outcome;
    let begin = |title: &str| [title.to_owned(), row.proxy.name().to_owned(), row.services.to_string()];
    let spread = outcome.spread();
    let line = |title: &str, direct: f64, through: f64, ratio: String, rest: [String; 2]| {
        let [title, proxy, services] = begin(title);
        let [quartiles, bar] = rest;
        [title, proxy, services, number(direct), number(through), ratio, quartiles, bar]
    };
    let quartiles = format!("{:.3}–{:.3}", spread.lower, spread.upper);
    let (direct, through) = (&outcome.direct, &outcome.through);
    let ratio = |value: f64| format!("{value:.3}");
    let title = if outcome.work == Work::Connect { "TCP connect, median µs" } else { outcome.work.title() };
    let main = [quartiles, bar(row)];
    let mut lines = vec![line(title, outcome.figure(direct), outcome.figure(through), ratio(outcome.ratio()), main)];
    if outcome.work == Work::Connect {
        let none = || [String::new(), String::new()];
        let (p99, p99_through) = (direct.p99(), through.p99());
        lines.push(line("  p99 µs", p99, p99_through, ratio(p99_through / p99), none()));
        let (rate, rate_through) = (median(&direct.rates), median(&through.rates));
        lines.push(line("  connects/s", rate, rate_through, ratio(rate_through / rate), none()));
    }
    lines
}

/// The bar and whether it was reached; only Waggle has bars.
fn bar(row: &Measured) -> String {
    let work = row.outcome.work;
    match (row.proxy, work.reaches_bar(row.outcome.ratio())) {
        (Proxy::Waggle, Some(true)) => format!("{} ok", work.bar()),
        (Proxy::Waggle, Some(false)) => format!("{} missed", work.bar()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::figures;

    #[test]
    fn aligned_columns_begin_at_the_same_place() {
        let text = text(&figures(), false);
        let lines: Vec<_> = text.lines().collect();
        let column = |line: &str, word: &str| line.find(word).map(|at| line[..at].chars().count());
        let proxy = column(lines[0], "proxy");
        assert!(proxy.is_some());
        assert_eq!(column(lines[1], "Waggle"), proxy, "{text}");
        assert!(lines[1].ends_with("≤ 1.01 missed"), "{text}");
        assert!(!lines[4].contains("1.01"), "the bar is Waggle's: {text}");
    }

    #[test]
    fn markdown_rows_have_as_many_cells_as_the_head() {
        let text = text(&figures(), true);
        let cells: Vec<_> = text.lines().map(|line| line.matches(" | ").count()).collect();
        assert!(cells.len() > 6 && cells.iter().all(|count| *count == 7), "{text}");
    }
}
