//! What the user has chosen to see, and how keys change it. Pure.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    backends::BackendShare,
    history::History,
    rates::{Figures, PortRates, Rates, Refusals},
};
use crate::commands::get::ServicePort;

/// How far a page key moves.
const PAGE: isize = 10;

/// What there is to see.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// What the last two samples say.
    pub figures: Figures,
    /// The rates of the last samples.
    pub history: History,
    /// The backends of the Service whose backends are shown.
    pub backends: Vec<BackendShare>,
    /// Why the maps could not be read again, and how many seconds ago they were read; `None` if they could be.
    pub stale: Option<(String, u64)>,
    /// Why the agent could not be asked for labels again, and how many seconds ago it reported them; `None` if it could be, or if
    /// no labels are needed.
    pub stale_labels: Option<(String, u64)>,
}

/// A screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// Service ports by their rates.
    #[default]
    Services,
    /// Rejects and drops by reason.
    Refusals,
    /// The backends of a service port.
    Backends(ServicePort),
}

/// How Services are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By new connections per second.
    #[default]
    Connections,
    /// By packets per second.
    Packets,
    /// By bytes per second.
    Bytes,
    /// By names.
    Name,
}

impl Sort {
    /// Returns what rows are sorted by, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Connections => "connections/s",
            Self::Packets => "packets/s",
            Self::Bytes => "bytes/s",
            Self::Name => "name",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Connections => Self::Packets,
            Self::Packets => Self::Bytes,
            Self::Bytes => Self::Name,
            Self::Name => Self::Connections,
        }
    }

    const fn key(self, rates: &Rates) -> f64 {
        match self {
            Self::Connections => rates.connections,
            Self::Packets => rates.packets,
            Self::Bytes => rates.bytes,
            Self::Name => 0.0,
        }
    }
}

/// What follows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The screen is drawn again.
    Continue,
    /// The command ends.
    Quit,
}

/// What the user has chosen.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The screen.
    pub screen: Screen,
    /// The order of Services.
    pub sort: Sort,
    /// Only Services whose names contain this are listed.
    pub filter: String,
    /// Keys change the filter.
    pub is_filtering: bool,
    /// The help is shown.
    pub is_helping: bool,
    /// The chosen Service, wherever it is in the list; `None` is the first one.
    selected: Option<ServicePort>,
    /// The chosen line of the other screens.
    line: usize,
}

impl State {
    /// Changes the state as a key asks for.
    pub fn press(&mut self, key: KeyEvent, view: &View) -> Next {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Next::Quit } else { Next::Continue };
        }
        if self.is_helping {
            self.is_helping = false;
        } else if self.is_filtering {
            self.edit_filter(key.code);
        } else if key.code == KeyCode::Char('q') {
            return Next::Quit;
        } else {
            self.choose(key.code, view);
        }
        Next::Continue
    }

    fn edit_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char(character) => self.filter.push(character),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.is_filtering = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.is_filtering = false;
            }
            _ => {}
        }
    }

    fn choose(&mut self, key: KeyCode, view: &View) {
        match key {
            KeyCode::Up | KeyCode::Char('k') => self.move_by(-1, view),
            KeyCode::Down | KeyCode::Char('j') => self.move_by(1, view),
            KeyCode::PageUp => self.move_by(-PAGE, view),
            KeyCode::PageDown => self.move_by(PAGE, view),
            KeyCode::Home | KeyCode::Char('g') => self.move_by(isize::MIN, view),
            KeyCode::End | KeyCode::Char('G') => self.move_by(isize::MAX, view),
            KeyCode::Enter => self.open(view),
            KeyCode::Esc => self.go_back(),
            KeyCode::Tab => {
                let next = if self.screen == Screen::Services { Screen::Refusals } else { Screen::Services };
                self.show(next);
            }
            KeyCode::Char('s') if self.screen == Screen::Services => self.sort = self.sort.next(),
            KeyCode::Char('/') if self.screen == Screen::Services => self.is_filtering = true,
            KeyCode::Char('?') => self.is_helping = true,
            _ => {}
        }
    }

    fn show(&mut self, screen: Screen) {
        self.screen = screen;
        self.line = 0;
    }

    fn open(&mut self, view: &View) {
        if self.screen == Screen::Services
            && let Some(row) = self.selected_row(view)
        {
            let port = row.port.clone();
            self.selected = Some(port.clone());
            self.show(Screen::Backends(port));
        }
    }

    fn go_back(&mut self) {
        if self.screen == Screen::Services {
            self.filter.clear();
        } else {
            self.show(Screen::Services);
        }
    }

    fn move_by(&mut self, lines: isize, view: &View) {
        let last = self.length(view).saturating_sub(1);
        let target = self.position(view).saturating_add_signed(lines).min(last);
        match self.screen {
            Screen::Services => self.selected = self.rows(&view.figures).get(target).map(|row| row.port.clone()),
            Screen::Refusals | Screen::Backends(_) => self.line = target,
        }
    }

    /// Returns the number of lines of the screen's list.
    fn length(&self, view: &View) -> usize {
        match self.screen {
            Screen::Services => self.rows(&view.figures).len(),
            Screen::Refusals => view.figures.refusals.len(),
            Screen::Backends(_) => view.backends.len(),
        }
    }

    /// Returns the index of the chosen line in the screen's list. If the chosen Service is not listed, the first one is chosen.
    pub fn position(&self, view: &View) -> usize {
        match self.screen {
            Screen::Services => {
                let rows = self.rows(&view.figures);
                rows.iter().position(|row| Some(&row.port) == self.selected.as_ref()).unwrap_or(0)
            }
            Screen::Refusals | Screen::Backends(_) => self.line.min(self.length(view).saturating_sub(1)),
        }
    }

    /// Returns the listed Services in their order.
    pub fn rows<'a>(&self, figures: &'a Figures) -> Vec<&'a PortRates> {
        let is_listed = |row: &&PortRates| row.port.to_string().contains(&self.filter);
        let mut rows: Vec<_> = figures.ports.iter().filter(is_listed).collect();
        let key = |row: &PortRates| row.rates.as_ref().map_or(0.0, |rates| self.sort.key(rates));
        rows.sort_by(|a, b| key(b).total_cmp(&key(a)));
        rows
    }

    fn selected_row<'a>(&self, view: &'a View) -> Option<&'a PortRates> {
        self.rows(&view.figures).get(self.position(view)).copied()
    }

    /// Returns the Service that the screen is about: the chosen one, or the one whose backends are shown.
    pub fn subject(&self, view: &View) -> Option<ServicePort> {
        match &self.screen {
            Screen::Services => self.selected_row(view).map(|row| row.port.clone()),
            Screen::Backends(port) => Some(port.clone()),
            Screen::Refusals => None,
        }
    }
}

/// Returns reasons in the order in which they are listed: those that apply most often first.
pub fn by_rate(figures: &Figures) -> Vec<&Refusals> {
    let mut refusals: Vec<_> = figures.refusals.iter().collect();
    let rate = |refusals: &Refusals| refusals.rate.unwrap_or(0.0);
    refusals.sort_by(|a, b| rate(b).total_cmp(&rate(a)).then(b.reason.count.cmp(&a.reason.count)));
    refusals
}
