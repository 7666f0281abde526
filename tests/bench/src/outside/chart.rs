//! The chart: packets per second to a backend on another node, by each way.

use super::{Measured, OutsideFigures, Way};
use crate::bars::{self, Bar, TOP};

/// Where bars begin; their labels are to the left.
const LEFT: f64 = 190.0;
/// The length of the longest bar.
const SPAN: f64 = 460.0;

/// The document.
pub fn draw(figures: &OutsideFigures) -> String {
    let rate = |measured: &Measured| measured.flooded(|flooded| flooded.per_second).median;
    let most = figures.ways.iter().map(rate).fold(1.0, f64::max);
    let bar = |measured: &Measured| Bar {
        label: bars::with_services(measured.title(), measured.services),
        class: class(measured.way),
        length: rate(measured) / most * SPAN,
        number: format!("{:.2}", rate(measured) / 1e6),
    };
    let ways: Vec<Bar> = figures.ways.iter().map(bar).collect();
    let mut svg = bars::chart(
        bars::height(&ways),
        "Packets to a node port that one processor forwards to another node",
        "64-byte UDP, established flows. Beside the bars: millions per second.",
    );
    bars::draw(&mut svg, [LEFT, TOP], &ways);
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
