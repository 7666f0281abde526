//! The chart: for each kind of work, a bar with the ratio of every scenario, and a line at the ratio of direct
//! connections.

use crate::{
    figures::{Figures, Measured, Proxy},
    orders::Work,
    svg::Svg,
};

const WIDTH: f64 = 760.0;
/// Where bars begin; their labels are to the left.
const LEFT: f64 = 170.0;
/// Pixels for a ratio of 1.
const UNIT: f64 = 300.0;
/// Bars of higher ratios are cut; their numbers are still right.
const LONGEST: f64 = 1.75;
const BAR: f64 = 16.0;
const PITCH: f64 = 21.0;
const HEADING: f64 = 34.0;
const TOP: f64 = 44.0;

/// The document.
pub fn draw(figures: &Figures) -> String {
    let rows = figures.rows();
    let groups: Vec<&[&Measured]> = rows.chunk_by(|a, b| a.outcome.work == b.outcome.work).collect();
    let heights = groups.iter().map(|group| HEADING + span(group));
    let mut svg = Svg::new(WIDTH, TOP + heights.sum::<f64>() + 16.0);
    svg.text("strong", "start", [12.0, 22.0], "Through the ClusterIP ÷ direct to the backend");
    svg.text(
        "soft",
        "start",
        [12.0, 39.0],
        "Dashed: as fast as direct. Beside the bars: ratio, and direct → ClusterIP.",
    );
    let mut y = TOP;
    for group in groups {
        y = draw_group(&mut svg, group, y);
    }
    svg.finish("Waggle and nftables: connections through a ClusterIP compared with direct ones")
}

/// Height of a group's bars.
fn span(group: &[&Measured]) -> f64 {
    group.iter().map(|_| PITCH).sum()
}

/// Heading and bars; returns where the next group begins.
fn draw_group(svg: &mut Svg, group: &[&Measured], top: f64) -> f64 {
    let Some(work) = group.first().map(|row| row.outcome.work) else { return top };
    let better = if work == Work::Connect { "shorter is better" } else { "longer is better" };
    svg.text("strong", "start", [12.0, top + 22.0], work.title());
    svg.text("soft", "start", [LEFT, top + 22.0], better);
    let begin = top + HEADING;
    let mut y = begin;
    for row in group {
        draw_bar(svg, row, y);
        y += PITCH;
    }
    svg.line("rule", [LEFT, begin - 3.0], [LEFT, y]);
    svg.line("bar", [LEFT + UNIT, begin - 5.0], [LEFT + UNIT, y]);
    y
}

fn draw_bar(svg: &mut Svg, row: &Measured, y: f64) {
    let class = match (row.proxy, row.services) {
        (Proxy::Waggle, 1) => "one",
        (Proxy::Waggle, _) => "two",
        (Proxy::Nftables, 1) => "three",
        (Proxy::Nftables, _) => "four",
    };
    let plural = if row.services == 1 { "" } else { "s" };
    let label = format!("{}, {} Service{plural}", row.proxy.name(), row.services);
    let base = y + BAR - 4.0;
    svg.text("soft", "end", [LEFT - 8.0, base], &label);
    let ratio = row.outcome.ratio();
    // A ratio that could not be measured has no bar.
    let length = if ratio.is_finite() { ratio.clamp(0.0, LONGEST) * UNIT } else { 0.0 };
    svg.rectangle(class, [LEFT, y], [length, BAR]);
    let [direct, through] = [&row.outcome.direct, &row.outcome.through].map(|arm| row.outcome.figure(arm));
    let digits = usize::from(direct < 1000.0);
    let values = format!("{ratio:.3}  ({direct:.digits$} → {through:.digits$})");
    // On the empty side of the bar, since the line would otherwise cross the number.
    svg.text("", "end", [WIDTH - 12.0, base], &values);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{figures::tests::figures, svg::tests::assert_well_formed};

    #[test]
    fn chart_is_well_formed_and_has_a_bar_for_every_scenario() {
        let chart = draw(&figures());
        assert_well_formed(&chart);
        assert_eq!(chart.matches("<rect").count(), 4);
        assert!(chart.contains("Waggle, 1 Service<") && chart.contains("nftables, 10000 Services"));
    }

    #[test]
    fn nothing_measured_is_still_a_picture() {
        assert_well_formed(&draw(&Figures::default()));
    }
}
