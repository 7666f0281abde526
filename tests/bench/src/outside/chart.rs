//! The chart: packets per second to a backend on another node, by each way.

use super::{Measured, OutsideFigures, Way};
use crate::svg::Svg;

const WIDTH: f64 = 760.0;
/// Where bars begin; their labels are to the left.
const LEFT: f64 = 190.0;
/// The length of the longest bar.
const SPAN: f64 = 460.0;
const BAR: f64 = 16.0;
const PITCH: f64 = 21.0;
const TOP: f64 = 52.0;

/// The document.
pub fn draw(figures: &OutsideFigures) -> String {
    let rate = |measured: &Measured| measured.flooded(|flooded| flooded.per_second).median;
    let most = figures.ways.iter().map(rate).fold(1.0, f64::max);
    let bottom = TOP + figures.ways.iter().map(|_| PITCH).sum::<f64>();
    let mut svg = Svg::new(WIDTH, bottom + 16.0);
    svg.text("strong", "start", [12.0, 22.0], "Packets to a node port that one processor forwards to another node");
    svg.text("soft", "start", [12.0, 39.0], "64-byte UDP, established flows. Beside the bars: millions per second.");
    let mut y = TOP;
    for measured in &figures.ways {
        let base = y + BAR - 4.0;
        let plural = if measured.services == 1 { "" } else { "s" };
        let label = format!("{}, {} Service{plural}", measured.title(), measured.services);
        svg.text("soft", "end", [LEFT - 8.0, base], &label);
        svg.rectangle(class(measured.way), [LEFT, y], [rate(measured) / most * SPAN, BAR]);
        svg.text("", "end", [WIDTH - 12.0, base], &format!("{:.2}", rate(measured) / 1e6));
        y += PITCH;
    }
    svg.line("rule", [LEFT, TOP - 3.0], [LEFT, bottom]);
    svg.finish("Waggle and nftables: packets from outside, forwarded to a backend on another node")
}

const fn class(way: Way) -> &'static str {
    match way {
        Way::Xdp => "one",
        Way::Tc => "two",
        Way::Nftables => "three",
        Way::Drop => "four",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{outside::figures::tests::figures, svg::tests::assert_well_formed};

    #[test]
    fn each_way_that_forwards_has_a_bar_of_its_length() {
        let chart = draw(&figures());
        assert_well_formed(&chart);
        assert_eq!(chart.matches("<rect").count(), 4);
        assert!(chart.contains("Waggle, XDP, 10 Services<") && chart.contains("nftables, 1 Service<"), "{chart}");
        assert!(chart.contains(">3.00<"), "{chart}");
        assert!(chart.contains(r#"width="460.0""#) && chart.contains(r#"width="153.3""#), "{chart}");
    }
}
