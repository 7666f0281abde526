//! Draws a view as the state asks for. Pure but for the frame that it draws into.

mod graphs;
mod help;
mod tables;

use ratatui::{
    Frame,
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    text::{Line, Text},
    widgets::{Block, Borders},
};

use super::state::{Screen, State, View};

/// The height of a line of graphs, with its titles.
const GRAPHS: u16 = 4;
/// The least height of a list, with its titles.
const LIST: u16 = 8;

/// How things look.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// With colours. Without them things differ by being bold or inverse.
    pub is_coloured: bool,
}

impl Theme {
    fn title(self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    fn graph(self) -> Style {
        self.coloured(Color::Green)
    }

    fn note(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn coloured(self, colour: Color) -> Style {
        if self.is_coloured { Style::new().fg(colour) } else { Style::new() }
    }

    /// Returns the line above a part of the screen, with its title.
    fn headed<'a>(self, title: impl Into<Line<'a>>) -> Block<'a> {
        Block::new().borders(Borders::TOP).title(title).title_style(self.title())
    }
}

/// Draws a frame: graphs of the totals, a list, graphs of the chosen Service, notes, and the help line. What has no room is left
/// out, the list last.
pub fn draw(frame: &mut Frame<'_>, view: &View, state: &State, theme: Theme) {
    let area = frame.area();
    let subject = state.subject(view);
    let (notes, note_lines) = notes(view);
    let spare = area.height.saturating_sub(LIST + 1 + note_lines);
    let totals = if spare >= GRAPHS { GRAPHS } else { 0 };
    let graphs = if subject.is_some() && spare >= 2 * GRAPHS { GRAPHS } else { 0 };
    let heights = [
        Constraint::Length(totals),
        Constraint::Fill(1),
        Constraint::Length(graphs),
        Constraint::Length(note_lines),
        Constraint::Length(1),
    ];
    let [totals, list, graphs, below, help] = Layout::vertical(heights).areas(area);
    graphs::totals(frame, totals, view, theme);
    match &state.screen {
        Screen::Services => tables::services(frame, list, view, state, theme),
        Screen::Refusals => tables::refusals(frame, list, view, state, theme),
        Screen::Backends(port) => tables::backends(frame, list, port, view, state, theme),
    }
    if let Some(port) = subject {
        graphs::of(frame, graphs, &port, view, theme);
    }
    frame.render_widget(Text::styled(notes, theme.note()), below);
    help::line(frame, help, state);
    if state.is_helping {
        help::page(frame, area, theme);
    }
}

/// Returns what could not be read again, and how many lines that is.
fn notes(view: &View) -> (String, u16) {
    let maps = view.stale.iter().map(|(error, seconds)| format!("not read for {seconds} s, trying again: {error}"));
    let labels = view.stale_labels.iter();
    let labels = labels.map(|(error, seconds)| format!("labels are {seconds} s old, asking again: {error}"));
    let notes: Vec<_> = maps.chain(labels).collect();
    (notes.join("\n"), u16::from(view.stale.is_some()) + u16::from(view.stale_labels.is_some()))
}
