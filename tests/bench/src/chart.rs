//! The chart: for each kind of work, a bar with the ratio of every scenario, and a line at the ratio of direct
//! connections.

use crate::{
    bars::{self, Bar, MARGIN, TOP},
    figures::{Figures, Measured, Proxy},
    orders::Work,
    svg::Svg,
};

/// Where bars begin; their labels are to the left.
const LEFT: f64 = 170.0;
/// Pixels for a ratio of 1.
const UNIT: f64 = 300.0;
/// Bars of higher ratios are cut; their numbers are still right.
const LONGEST: f64 = 1.75;
/// The height of a group's heading.
const HEADING: f64 = 34.0;

/// The document.
pub fn draw(figures: &Figures) -> String {
    let rows = figures.rows();
    let groups: Vec<&[&Measured]> = rows.chunk_by(|a, b| a.outcome.work == b.outcome.work).collect();
    let height = groups.iter().map(|group| HEADING + bars::height(group)).sum();
    let mut svg = bars::chart(
        height,
        "Through the ClusterIP ÷ direct to the backend",
        "Dashed: as fast as direct. Beside the bars: ratio, and direct → ClusterIP.",
    );
    let mut y = TOP;
    for group in groups {
        draw_group(&mut svg, group, y);
        y += HEADING + bars::height(group);
    }
    svg.finish("Waggle and nftables: connections through a ClusterIP compared with direct ones")
}

fn draw_group(svg: &mut Svg, group: &[&Measured], top: f64) {
    let Some(work) = group.first().map(|row| row.outcome.work) else { return };
    let better = if work == Work::Connect { "shorter is better" } else { "longer is better" };
    svg.text("strong", "start", [MARGIN, top + 22.0], work.title());
    svg.text("soft", "start", [LEFT, top + 22.0], better);
    let begin = top + HEADING;
    let group: Vec<Bar> = group.iter().map(|row| bar(row)).collect();
    bars::draw(svg, [LEFT, begin], &group);
    bars::mark(svg, LEFT + UNIT, begin, &group);
}

fn bar(row: &Measured) -> Bar {
    let ratio = row.outcome.ratio();
    let [direct, through] = [&row.outcome.direct, &row.outcome.through].map(|arm| row.outcome.figure(arm));
    let digits = usize::from(direct < 1000.0);
    Bar {
        label: bars::with_services(row.proxy.name(), row.services),
        class: match (row.proxy, row.services) {
            (Proxy::Waggle, 1) => "one",
            (Proxy::Waggle, _) => "two",
            (Proxy::Nftables, 1) => "three",
            (Proxy::Nftables, _) => "four",
        },
        // A ratio that could not be measured has no bar.
        length: if ratio.is_finite() { ratio.clamp(0.0, LONGEST) * UNIT } else { 0.0 },
        number: format!("{ratio:.3}  ({direct:.digits$} → {through:.digits$})"),
    }
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
