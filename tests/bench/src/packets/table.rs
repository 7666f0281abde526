//! The figures of single packets as a table.

use super::{
    FLOWS,
    figures::{Bar, PacketFigures},
};
use crate::grid::{Grid, number};

/// Kinds of packets in the table, and the beginning of their cases' names.
const OF_FLOWS: [(&str, &str); 4] =
    [("floor program", "floor"), ("established", "established"), ("answer", "reply"), ("new flow", "new")];
const OTHERS: [(&str, &str); 6] = [
    ("of no Service: passes through", "bystander_transit"),
    ("of no Service: opens SSH", "bystander_ssh"),
    ("of no Service: opens kubelet", "bystander_kubelet"),
    ("of no Service: kubelet, open", "bystander_kubelet_data"),
    ("refused", "reject"),
    ("MAC swap program", "mac_swap"),
];

/// The table, with the bars of each case.
pub fn text(figures: &PacketFigures, markdown: bool) -> String {
    let mut grid = Grid::new(&[
        ("XDP, a packet", false),
        ("flows", true),
        ("ns over empty", true),
        ("quartiles", true),
        ("÷ floor", true),
        ("bar", false),
    ]);
    let bars = figures.bars();
    for (title, name) in OF_FLOWS {
        for (flows, _) in FLOWS {
            let ratio = if name == "floor" { String::new() } else { format!("{:.3}", figures.over_floor(name, flows)) };
            grid.push(row(figures, &bars, title, &flows.to_string(), &format!("{name}_{flows}"), ratio));
        }
    }
    for (title, name) in OTHERS {
        grid.push(row(figures, &bars, title, "", name, String::new()));
    }
    let empty = ["empty program, in all".into(), String::new(), number(figures.empty())];
    grid.push(empty.into_iter().chain([const { String::new() }; 3]));
    grid.text(markdown)
}

fn row(figures: &PacketFigures, bars: &[Bar], title: &str, flows: &str, name: &str, ratio: String) -> [String; 6] {
    let spread = figures.spread(name);
    let quartiles = spread.map_or_else(String::new, |spread| format!("{:.1}–{:.1}", spread.lower, spread.upper));
    let bar = bars.iter().find(|bar| bar.cases.contains(&name)).map_or_else(String::new, |bar| {
        // A bar for several cases applies to each.
        let value = if bar.cases.len() > 1 { figures.over_empty(name) } else { bar.value };
        format!("≤ {} {}", bar.most, if value <= bar.most { "ok" } else { "missed" })
    });
    [title.into(), flows.into(), number(figures.over_empty(name)), quartiles, ratio, bar]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::Runs;

    #[test]
    fn every_case_has_a_row_and_every_bar_its_place() {
        let mut runs = Runs::from([("empty".into(), vec![27.0])]);
        let of_flows = OF_FLOWS.iter().flat_map(|(_, name)| FLOWS.map(|(flows, _)| format!("{name}_{flows}")));
        for name in of_flows.chain(OTHERS.map(|(_, name)| name.to_owned())) {
            runs.insert(format!("{name}/all"), vec![137.0]);
            runs.insert(format!("{name}/made"), vec![37.0]);
        }
        let text = text(&PacketFigures::new(&runs), false);
        assert_eq!(text.lines().count(), 1 + 12 + 6 + 1, "{text}");
        assert_eq!(text.matches("≤ 12 missed").count(), 4, "{text}");
        assert_eq!(text.matches("≤ 1.1 ok").count(), 1, "{text}");
        assert_eq!(text.matches('≤').count(), 8, "{text}");
        assert_eq!(text.matches("100.00").count(), 18, "{text}");
    }
}
