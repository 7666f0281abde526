//! Horizontal bars below a title: each with a label to its left and a number at the chart's right edge.

use crate::svg::Svg;

/// The chart's width in pixels.
pub const WIDTH: f64 = 760.0;
/// Where bars begin below the title alone.
pub const TOP: f64 = 52.0;
/// The distance of a text from the chart's edge.
pub const MARGIN: f64 = 12.0;
/// From a bar's upper edge to the next one's.
const PITCH: f64 = 21.0;
const THICKNESS: f64 = 16.0;

/// One bar.
pub struct Bar {
    /// What stands to its left.
    pub label: String,
    /// The class of its colour.
    pub class: &'static str,
    /// Its length in pixels.
    pub length: f64,
    /// What stands at the right edge, where no line crosses it.
    pub number: String,
}

/// The height of that many bars.
pub fn height<T>(bars: &[T]) -> f64 {
    bars.iter().map(|_| PITCH).sum()
}

/// An empty chart with its title, and room for as much as `height` below `TOP`.
pub fn chart(height: f64, title: &str, explanation: &str) -> Svg {
    let mut svg = Svg::new(WIDTH, TOP + height + 16.0);
    svg.text("strong", "start", [MARGIN, 22.0], title);
    svg.text("soft", "start", [MARGIN, 39.0], explanation);
    svg
}

/// Draws bars from `[left, top]`, and the line that they begin at.
pub fn draw(svg: &mut Svg, [left, top]: [f64; 2], bars: &[Bar]) {
    let mut y = top;
    for bar in bars {
        let base = y + THICKNESS - 4.0;
        svg.text("soft", "end", [left - 8.0, base], &bar.label);
        svg.rectangle(bar.class, [left, y], [bar.length, THICKNESS]);
        svg.text("", "end", [WIDTH - MARGIN, base], &bar.number);
        y += PITCH;
    }
    if !bars.is_empty() {
        svg.line("rule", [left, top - 3.0], [left, y]);
    }
}

/// Draws a dashed line across `bars` at `x`.
pub fn mark(svg: &mut Svg, x: f64, top: f64, bars: &[Bar]) {
    if !bars.is_empty() {
        svg.line("bar", [x, top - 5.0], [x, top + height(bars)]);
    }
}

/// A label such as `nftables, 1 Service`.
pub fn with_services(name: &str, services: u32) -> String {
    let plural = if services == 1 { "" } else { "s" };
    format!("{name}, {services} Service{plural}")
}
