//! `waggle monitor`: what happens to flows, calls and packets, as it happens. While it runs, the programs report events into the
//! ring buffer EVENTS; MONITOR says which (docs/adr/0020). It needs no running agent.

mod error;
mod event_row;
mod filter;
mod names;
mod screen;
mod session;
mod switch;

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use self::{screen::Screen, session::Session};
use crate::commands::cli::MonitorArgs;

/// How often the monitor renews what it wants.
const RENEWAL: Duration = Duration::from_secs(1);

/// Runs the command until it has shown enough events, the reader closes the pipe, or a signal comes.
pub fn run(args: &MonitorArgs) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(follow(args))
}

async fn follow(args: &MonitorArgs) -> anyhow::Result<()> {
    // Before events are wanted: a signal that comes from now on switches them off again.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut session = Session::start(args)?;
    let mut screen = Screen::new(args);
    let mut is_open = screen.begin()?;
    let mut renewal = interval(RENEWAL);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while is_open {
        tokio::select! {
            biased;
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hang_up.recv() => break,
            _ = renewal.tick() => {
                session.renew()?;
                is_open = screen.show_lost(session.lost())?;
            }
            events = session.read() => is_open = screen.show(&events?)?,
        }
    }
    if is_open {
        // What happened before the signal is shown, too.
        screen.show(&session.rest()?)?;
        screen.show_lost(session.lost())?;
    }
    Ok(())
}
