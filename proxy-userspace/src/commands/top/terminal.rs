//! Shows the screens on the terminal and follows keys, signals and time, until the user quits. Whatever ends the command, also an
//! error or a panic, the terminal is as it was before.

use std::{
    env,
    io::{self, IsTerminal as _},
    mem,
    pin::pin,
    thread,
    time::Instant,
};

use anyhow::Context as _;
use futures::{
    StreamExt as _,
    future::{Fuse, FusedFuture as _, FutureExt as _},
};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{Event, EventStream, KeyEventKind},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    backends::backends,
    chosen::Chosen,
    draw::{Theme, draw},
    rates::Figures,
    sample::Sample,
    state::{Next, Screen, State, View},
};
use crate::{
    commands::{
        cli::TopArgs,
        fetch_labels::{NoLabels, ReportedLabels, request_labels},
        get::InspectError,
    },
    logging::{colour, errors::Report},
};

/// Follows an instance from its first sample on, with the labels that were known then.
pub fn follow(args: &TopArgs, first: Sample, chosen: Chosen) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(Top::new(args, first, chosen)))
}

async fn run(mut top: Top<'_>) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("follow signals")?;
    let mut terminal = RawTerminal::open().context("open the terminal (`waggle top --once` needs none)")?;
    let mut keys = EventStream::new();
    let args = top.args;
    let mut ticks = ticks(args).await;
    // At most one request for labels. The agent may be slow to answer: keys and time are followed meanwhile.
    let mut request = pin!(Fuse::terminated());
    let mut has_changed = true;
    loop {
        if has_changed {
            top.show(&mut terminal.0).context("draw on the terminal")?;
        }
        has_changed = tokio::select! {
            () = signals.next() => return Ok(()),
            _ = ticks.tick() => {
                top.look();
                // After the maps, since a Service's labels are known before it is in them.
                if top.chosen.needs_labels() && request.is_terminated() {
                    request.set(request_labels(args.address, &args.instance.instance, top.chosen.tag()).fuse());
                }
                true
            }
            answer = &mut request => top.take_labels(answer),
            event = keys.next() => {
                let Some(event) = event else { return Ok(()) };
                if top.handle(&event.context("read keys from the terminal")?) == Next::Quit {
                    return Ok(());
                }
                true
            }
        };
    }
}

/// Returns the times of the looks after the first one. After a late look the next one is a whole interval later.
async fn ticks(args: &TopArgs) -> Interval {
    let mut ticks = interval(args.interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate.
    ticks.tick().await;
    ticks
}

/// The signals that end the command. SIGINT comes from other processes only: Ctrl-C is a key.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The terminal in raw mode, with its alternate screen.
pub(super) struct RawTerminal(pub(super) DefaultTerminal);

impl RawTerminal {
    /// Takes the terminal. From here on a panic restores it before it prints its message.
    pub(super) fn open() -> io::Result<Self> {
        // Half of it may have been done.
        ratatui::try_init().map(Self).inspect_err(|_| drop(ratatui::try_restore()))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = self.0.show_cursor();
        // A panic has done the rest before it printed its message. To leave the alternate screen once more would move the cursor
        // back to where it was before, and the shell's prompt would overwrite the message.
        if !thread::panicking() {
            let _ = ratatui::try_restore();
        }
    }
}

/// What is shown, and where it comes from.
struct Top<'a> {
    args: &'a TopArgs,
    theme: Theme,
    chosen: Chosen,
    /// When the agent reported the labels.
    labelled: Instant,
    /// The sample before the last one.
    before: Option<Sample>,
    last: Sample,
    view: View,
    state: State,
}

impl<'a> Top<'a> {
    fn new(args: &'a TopArgs, first: Sample, chosen: Chosen) -> Self {
        let figures = Figures::compare(&first, &first, &chosen);
        let theme =
            Theme { is_coloured: colour::is_wanted(io::stdout().is_terminal(), env::var_os("NO_COLOR").as_deref()) };
        let view = View { figures, ..View::default() };
        Self { args, theme, chosen, labelled: Instant::now(), before: None, last: first, view, state: State::default() }
    }

    fn show(&self, terminal: &mut DefaultTerminal) -> io::Result<()> {
        terminal.draw(|frame| draw(frame, &self.view, &self.state, self.theme)).map(drop)
    }

    fn handle(&mut self, event: &Event) -> Next {
        let Event::Key(key) = event else { return Next::Continue };
        if key.kind == KeyEventKind::Release {
            return Next::Continue;
        }
        let next = self.state.press(*key, &self.view);
        if let Err(error) = self.read_flows() {
            self.note(&error);
        }
        next
    }

    /// Reads the maps. If that fails, as it may while an agent replaces them, what was read last stays.
    fn look(&mut self) {
        match self.read() {
            Ok(()) => self.view.stale = None,
            Err(error) => self.note(&error),
        }
    }

    fn read(&mut self) -> Result<(), InspectError> {
        let sample = Sample::read(&self.args.instance.instance)?;
        self.before = Some(mem::replace(&mut self.last, sample));
        self.compare();
        self.view.history.push(&self.view.figures);
        self.read_flows()
    }

    /// Compares the last two samples.
    fn compare(&mut self) {
        let before = self.before.as_ref().unwrap_or(&self.last);
        self.view.figures = Figures::compare(before, &self.last, &self.chosen);
    }

    /// Takes the agent's answer for what is shown now. If there is none, as while the agent restarts, the last labels count.
    /// Returns whether the screen changes.
    fn take_labels(&mut self, answer: Result<Option<ReportedLabels>, NoLabels>) -> bool {
        match answer {
            Ok(reported) => {
                self.labelled = Instant::now();
                let was_stale = self.view.stale_labels.take().is_some();
                let has_changed = reported.is_some();
                if let Some(reported) = reported {
                    self.chosen.set_labels(reported);
                    self.compare();
                    self.view.history.replace_last(&self.view.figures);
                }
                was_stale || has_changed
            }
            Err(error) => {
                self.view.stale_labels = Some((Report(&error).to_string(), self.labelled.elapsed().as_secs()));
                true
            }
        }
    }

    /// Reads the flows if the screen shows them and they are not known yet.
    fn read_flows(&mut self) -> Result<(), InspectError> {
        let Screen::Backends(port) = &self.state.screen else { return Ok(()) };
        let is_read = self.last.read_flows(&self.args.instance.instance);
        self.view.backends = backends(&self.last, port);
        is_read
    }

    fn note(&mut self, error: &InspectError) {
        self.view.stale = Some((Report(error).to_string(), self.last.at.elapsed().as_secs()));
    }
}
