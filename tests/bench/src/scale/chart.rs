//! The chart: the processor time of a change by the number of Services, as a multiple of that with few, and a line at the limit
//! for all of them.

use super::figures::{ALLOWED_RATIO, Row};
use crate::svg::Svg;

const WIDTH: f64 = 760.0;
/// Where bars begin; their labels are to the left.
const LEFT: f64 = 130.0;
/// The length of the longest bar, or of the line if it is farther.
const SPAN: f64 = 520.0;
const BAR: f64 = 16.0;
const PITCH: f64 = 21.0;
const TOP: f64 = 52.0;

/// The document. A size that was left out has no bar.
pub fn draw(rows: &[Row]) -> String {
    let costs: Vec<&Row> = rows.iter().filter(|row| row.key.starts_with("scale_change_cpu_relative_")).collect();
    let least = costs.iter().map(|row| row.value).fold(f64::INFINITY, f64::min);
    let most = costs.iter().map(|row| row.value).fold(0.0, f64::max);
    let limit = least * ALLOWED_RATIO;
    let unit = SPAN / most.max(limit);
    let bottom = TOP + costs.iter().map(|_| PITCH).sum::<f64>();
    let mut svg = Svg::new(WIDTH, bottom + 16.0);
    svg.text(
        "strong",
        "start",
        [12.0, 22.0],
        "The agent's processor time for a change of one endpoint ÷ that with 100 Services",
    );
    svg.text(
        "soft",
        "start",
        [12.0, 39.0],
        "By the number of Services of ten endpoints; the two agents take turns. Dashed: a fifth above the least.",
    );
    let mut y = TOP;
    for row in &costs {
        let base = y + BAR - 4.0;
        let services = row.services.unwrap_or_default();
        svg.text("soft", "end", [LEFT - 8.0, base], &format!("{services} Services"));
        svg.rectangle("one", [LEFT, y], [row.value * unit, BAR]);
        svg.text("", "end", [WIDTH - 12.0, base], &format!("{:.2}", row.value));
        y += PITCH;
    }
    if !costs.is_empty() {
        svg.line("rule", [LEFT, TOP - 3.0], [LEFT, bottom]);
        svg.line("bar", [LEFT + limit * unit, TOP - 5.0], [LEFT + limit * unit, bottom]);
    }
    svg.finish("The agent's processor time for a change, by the number of Services")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        scale::figures::tests::{SIZES, figures},
        svg::tests::assert_well_formed,
    };

    #[test]
    fn every_size_has_a_bar() {
        let chart = draw(&figures().rows(SIZES));
        assert_well_formed(&chart);
        assert_eq!(chart.matches("<rect").count(), 3);
        assert!(chart.contains("10000 Services<") && chart.contains(">2.00<"));
    }

    #[test]
    fn nothing_measured_is_still_a_picture() {
        assert_well_formed(&draw(&[]));
    }
}
