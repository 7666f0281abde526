//! The chart: the processor time of a change by the number of Services, as a multiple of that with few, and a line at the limit
//! for all of them.

use super::figures::{ALLOWED_RATIO, Row};
use crate::bars::{self, Bar, TOP};

/// Where bars begin; their labels are to the left.
const LEFT: f64 = 130.0;
/// The length of the longest bar, or of the line if it is farther.
const SPAN: f64 = 520.0;

/// The document. A size that was left out has no bar.
pub fn draw(rows: &[Row]) -> String {
    let costs: Vec<&Row> = rows.iter().filter(|row| row.key.starts_with("scale_change_cpu_relative_")).collect();
    let least = costs.iter().map(|row| row.value).fold(f64::INFINITY, f64::min);
    let most = costs.iter().map(|row| row.value).fold(0.0, f64::max);
    let limit = least * ALLOWED_RATIO;
    let unit = SPAN / most.max(limit);
    let bar = |row: &&Row| Bar {
        label: format!("{} Services", row.services.unwrap_or_default()),
        class: "one",
        length: row.value * unit,
        number: format!("{:.2}", row.value),
    };
    let sizes: Vec<Bar> = costs.iter().map(bar).collect();
    let mut svg = bars::chart(
        bars::height(&sizes),
        "The agent's processor time for a change of one endpoint ÷ that with 100 Services",
        "By the number of Services of ten endpoints; the two agents take turns. Dashed: a fifth above the least.",
    );
    bars::draw(&mut svg, [LEFT, TOP], &sizes);
    bars::mark(&mut svg, LEFT + limit * unit, TOP, &sizes);
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
