//! Graphs of the last samples. The newest is at the right.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    widgets::{RenderDirection, Sparkline},
};

use super::Theme;
use crate::commands::{
    get::ServicePort,
    top::{number::short, rates::Rates, state::View},
};

/// The width from which a title has room for the highest value.
const WIDE: u16 = 32;

/// Values of the last samples, the oldest first; `None` where a value was not known.
type Values = Vec<Option<f64>>;

/// Draws the sums over all Services, and of all refusals.
pub fn totals(frame: &mut Frame<'_>, area: Rect, view: &View, theme: Theme) {
    let [first, second, third, fourth] = Layout::horizontal([Constraint::Fill(1); 4]).spacing(1).areas(area);
    let total = |of: fn(Rates) -> f64| -> Values { view.history.total().map(|rates| Some(of(rates))).collect() };
    graph(frame, first, "connections/s", &total(|rates| rates.connections), theme);
    graph(frame, second, "packets/s", &total(|rates| rates.packets), theme);
    graph(frame, third, "bytes/s", &total(|rates| rates.bytes), theme);
    graph(frame, fourth, "refused/s", &view.history.refused().map(Some).collect(), theme);
}

/// Draws the rates of one Service.
pub fn of(frame: &mut Frame<'_>, area: Rect, port: &ServicePort, view: &View, theme: Theme) {
    let widths = [Constraint::Fill(2), Constraint::Fill(1), Constraint::Fill(1)];
    let [first, second, third] = Layout::horizontal(widths).spacing(1).areas(area);
    let of = |of: fn(Rates) -> f64| -> Values { view.history.of(port).map(|rates| rates.map(of)).collect() };
    let name = format!("{port}: connections/s");
    graph(frame, first, &name, &of(|rates| rates.connections), theme);
    graph(frame, second, "packets/s", &of(|rates| rates.packets), theme);
    graph(frame, third, "bytes/s", &of(|rates| rates.bytes), theme);
}

fn graph(frame: &mut Frame<'_>, area: Rect, name: &str, values: &Values, theme: Theme) {
    let now = short(values.last().copied().flatten());
    let highest = values.iter().flatten().fold(0.0, |highest: f64, value| highest.max(*value));
    let title = if area.width >= WIDE && highest > 0.0 {
        format!("{name} {now}, at most {}", short(Some(highest)))
    } else {
        format!("{name} {now}")
    };
    let bars = values.iter().rev().map(|value| value.map(|value| bar(value, highest)));
    let graph = Sparkline::default().data(bars).max(FULL.into()).direction(RenderDirection::RightToLeft);
    frame.render_widget(graph.absent_value_symbol(" ").style(theme.graph()).block(theme.headed(title)), area);
}

/// The value of the highest bar.
const FULL: u16 = 1000;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of FULL")]
fn bar(value: f64, highest: f64) -> u64 {
    if highest > 0.0 { (value / highest * f64::from(FULL)) as u64 } else { 0 }
}
