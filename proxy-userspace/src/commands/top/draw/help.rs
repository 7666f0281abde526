//! The line that names the keys, and the page that explains the numbers.

use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    style::{Modifier, Style},
    text::Line,
    widgets::{Block, Clear, Paragraph, Wrap},
};

use super::Theme;
use crate::commands::top::state::{Screen, State};

const PAGE: &str = "\
↑ ↓ k j PgUp PgDn Home End   choose a line
Enter   backends of the Service          Esc   back; without a filter again
Tab     refusals, Services               s     sort by connections, packets, bytes, name
/       filter by a part of the name     q     quit

connections/s  new connections and UDP flows, over all frontends of the service port and both families
packets/s      packets that were translated for it. Those of this node's sockets and its pods' need no translation, and are not \
counted
bytes/s        bytes of those packets
-              not known yet: the counters have begun between the last two looks, as for a new Service
chance         the backend's part of the slots of the Cluster or Local list of its family, from which new flows draw
open flows     those that `waggle get flows` shows, without closed and reset ones. No connections are counted for a backend, \
so it has no rate
refused        rejected (the client sees it at once) or dropped";

/// The size of the page, with its frame.
const WIDTH: u16 = 100;
const HEIGHT: u16 = 24;

/// Draws the line of keys.
pub fn line(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let text = match state.screen {
        _ if state.is_filtering => format!("/{}  Enter keeps the filter, Esc removes it", state.filter),
        Screen::Services => "q quit  ↑↓ choose  Enter backends  Tab refusals  s sort  / filter  ? help".to_owned(),
        Screen::Refusals | Screen::Backends(_) => "q quit  ↑↓ choose  Esc back  Tab Services  ? help".to_owned(),
    };
    frame.render_widget(Line::styled(text, Style::new().add_modifier(Modifier::REVERSED)), area);
}

/// Draws the page over the screen.
pub fn page(frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let area = area.centered(Constraint::Max(WIDTH), Constraint::Max(HEIGHT));
    let block = Block::bordered().title(" waggle top: any key closes this page ").title_style(theme.title());
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(PAGE).wrap(Wrap { trim: false }).block(block), area);
}
