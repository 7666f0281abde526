//! `waggle top`: the rates of Services, their backends, and what is refused, live on the terminal or once as plain text. It
//! reads the pinned maps as `waggle get` does, and changes nothing.

pub(super) mod backends;
mod draw;
pub(super) mod history;
mod number;
mod plain;
pub(super) mod rates;
pub(super) mod sample;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use self::tests::samples;

use std::{
    io::{self, IsTerminal as _},
    thread,
};

use self::{rates::Figures, sample::Sample};
use crate::commands::{cli::TopArgs, show::print};

/// Runs the command. It fails at once if the instance can't be read; a later failure is shown, and tried again.
pub fn run(args: &TopArgs) -> anyhow::Result<()> {
    let instance = args.instance.instance.as_str();
    let first = Sample::read(instance)?;
    if !args.once && io::stdout().is_terminal() {
        return terminal::follow(args, first);
    }
    thread::sleep(args.interval());
    let figures = Figures::compare(&first, &Sample::read(instance)?, args.namespace.as_deref());
    print(plain::text(&figures).as_bytes())?;
    Ok(())
}
