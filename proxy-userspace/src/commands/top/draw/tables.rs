//! The lists: Services, refusals, and backends of a Service.

use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    style::{Modifier, Style},
    text::Line,
    widgets::{Cell, Row, Table, TableState},
};

use super::Theme;
use crate::commands::{
    get::ServicePort,
    top::{
        number::{percent, short},
        rates::{PortRates, Rates, Refusals},
        state::{State, View, by_rate},
    },
};

/// The space between columns.
const GAP: u16 = 2;
/// Lines above a list's rows: its title, and those of its columns.
const TITLES: u16 = 2;

/// The least width of a list's first column, unless its cells need less.
const PART_OF_NAME: u16 = 12;

/// A list as text.
struct List {
    title: String,
    columns: &'static [Column],
    rows: Vec<Vec<String>>,
    /// The index of the chosen row.
    chosen: usize,
}

/// The title of a column.
enum Column {
    /// Of text, aligned to the left.
    Text(&'static str),
    /// Of numbers, aligned to the right.
    Number(&'static str),
}

impl Column {
    const fn title(&self) -> &'static str {
        match self {
            Self::Text(title) | Self::Number(title) => title,
        }
    }

    fn align(&self, text: String) -> Line<'static> {
        match self {
            Self::Text(_) => Line::from(text),
            Self::Number(_) => Line::from(text).right_aligned(),
        }
    }
}

/// Draws the Services.
pub fn services(frame: &mut Frame<'_>, area: Rect, view: &View, state: &State, theme: Theme) {
    const COLUMNS: &[Column] = &[
        Column::Text("SERVICE"),
        Column::Text("PROTOCOL"),
        Column::Number("CONNECTIONS/S"),
        Column::Number("PACKETS/S"),
        Column::Number("BYTES/S"),
        Column::Number("TOTAL"),
    ];
    let ports = state.rows(&view.figures);
    let order = state.sort.words();
    let title = if state.filter.is_empty() && !state.is_filtering {
        format!("Services by {order}")
    } else {
        let all = view.figures.ports.len();
        format!("Services by {order}, those with {:?}: {} of {all}", state.filter, ports.len())
    };
    let rows = ports.into_iter().map(cells_of_port).collect();
    List { title, columns: COLUMNS, rows, chosen: state.position(view) }.draw(frame, area, theme);
}

fn cells_of_port(row: &PortRates) -> Vec<String> {
    let rate = |of: fn(&Rates) -> f64| short(row.rates.as_ref().map(of));
    vec![
        row.port.to_string(),
        row.port.protocol.clone(),
        rate(|rates| rates.connections),
        rate(|rates| rates.packets),
        rate(|rates| rates.bytes),
        row.connections.to_string(),
    ]
}

/// Draws the reasons for which something was refused.
pub fn refusals(frame: &mut Frame<'_>, area: Rect, view: &View, state: &State, theme: Theme) {
    const COLUMNS: &[Column] = &[
        Column::Text("REASON"),
        Column::Text("VERDICT"),
        Column::Number("REFUSED/S"),
        Column::Number("TOTAL"),
        Column::Text("MEANING"),
    ];
    let cells = |refusals: &Refusals| {
        let reason = &refusals.reason;
        let words = [reason.reason, reason.verdict].map(str::to_owned);
        let numbers = [short(refusals.rate), reason.count.to_string(), reason.meaning.to_owned()];
        words.into_iter().chain(numbers).collect()
    };
    let rows: Vec<_> = by_rate(&view.figures).into_iter().map(cells).collect();
    let title = if rows.is_empty() { "Nothing has been refused" } else { "Refused packets and calls by reason" };
    List { title: title.to_owned(), columns: COLUMNS, rows, chosen: state.position(view) }.draw(frame, area, theme);
}

/// Draws the backends of a service port.
pub fn backends(frame: &mut Frame<'_>, area: Rect, port: &ServicePort, view: &View, state: &State, theme: Theme) {
    const COLUMNS: &[Column] = &[
        Column::Text("BACKEND"),
        Column::Text("LOCAL"),
        Column::Number("CHANCE: CLUSTER"),
        Column::Number("CHANCE: LOCAL"),
        Column::Number("OPEN FLOWS"),
        Column::Number("SHARE"),
    ];
    let all = view.backends.iter().filter_map(|backend| backend.flows).sum();
    let rows = view.backends.iter().map(|backend| {
        vec![
            backend.address.clone(),
            if backend.is_local { "yes" } else { "-" }.to_owned(),
            percent(backend.cluster),
            percent(backend.local),
            backend.flows.map_or_else(|| "-".to_owned(), |flows| flows.to_string()),
            percent(backend.flows.and_then(|flows| part(flows, all))),
        ]
    });
    let title = format!("Backends of {port} {}: chance to be chosen, and open flows", port.protocol);
    List { title, columns: COLUMNS, rows: rows.collect(), chosen: state.position(view) }.draw(frame, area, theme);
}

#[expect(clippy::cast_precision_loss, reason = "a part is shown with few digits")]
fn part(of: u64, all: u64) -> Option<f64> {
    (all != 0).then(|| of as f64 / all as f64)
}

impl List {
    fn draw(self, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
        let widths = self.widths(area.width);
        let height = usize::from(area.height.saturating_sub(TITLES));
        // The chosen row is in the middle, unless that would leave lines empty.
        let offset = self.chosen.saturating_sub(height / 2).min(self.rows.len().saturating_sub(height));
        let mut state = TableState::new().with_offset(offset).with_selected(Some(self.chosen));
        let columns = &self.columns[..widths.len()];
        let titles = columns.iter().map(|column| Cell::from(column.align(column.title().to_owned())));
        let rows = self
            .rows
            .into_iter()
            .map(|cells| Row::new(cells.into_iter().zip(columns).map(|(cell, column)| Cell::from(column.align(cell)))));
        let table = Table::new(rows, widths.into_iter().map(Constraint::Length)).column_spacing(GAP);
        let table = table.header(Row::new(titles).style(Style::new().add_modifier(Modifier::BOLD)));
        let chosen = Style::new().add_modifier(Modifier::REVERSED);
        let table = table.row_highlight_style(chosen).block(theme.headed(self.title));
        frame.render_stateful_widget(table, area, &mut state);
    }

    /// Returns the widths that the columns' cells need, of as many columns from the left as there is room for. The first column and
    /// a last one of text may get less.
    fn widths(&self, room: u16) -> Vec<u16> {
        let length = |text: &str| u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        let mut needed: Vec<u16> = self.columns.iter().map(|column| length(column.title())).collect();
        for row in &self.rows {
            for (width, cell) in needed.iter_mut().zip(row) {
                *width = (*width).max(length(cell));
            }
        }
        let mut widths = needed.clone();
        if let (Some(width), Some(Column::Text(title))) = (widths.last_mut(), self.columns.last()) {
            *width = length(title);
        }
        if let Some(width) = widths.first_mut() {
            *width = (*width).min(PART_OF_NAME);
        }
        let whole = |widths: &[u16]| widths.iter().fold(0_u16, |sum, width| sum.saturating_add(GAP + width)) - GAP;
        while widths.len() > 1 && whole(&widths) > room {
            widths.pop();
        }
        let mut rest = room.saturating_sub(whole(&widths));
        for (width, needed) in widths.iter_mut().zip(needed) {
            let more = needed.saturating_sub(*width).min(rest);
            (*width, rest) = (*width + more, rest - more);
        }
        widths
    }
}
