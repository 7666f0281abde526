//! `waggle top`: the rates of Services, their backends, and what is refused, live on the terminal or once as plain text. It
//! reads the pinned maps as `waggle get` does, asks the agent for labels where they choose Services, and changes nothing.

pub(super) mod backends;
pub(super) mod chosen;
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

use self::{chosen::Chosen, rates::Figures, sample::Sample};
use crate::{
    commands::{
        cli::TopArgs,
        fetch_labels::{LabelsUnavailable, fetch_labels},
        show::print,
    },
    logging::errors::Report,
};

/// Runs the command. It fails at once if the instance can't be read, a Service that is named isn't there, or labels that choose
/// Services are not known; a later failure is shown, and tried again.
pub fn run(args: &TopArgs) -> anyhow::Result<()> {
    let instance = args.instance.instance.as_str();
    let first = Sample::read(instance)?;
    let mut chosen = Chosen::new(args)?;
    chosen.check(&first)?;
    if chosen.needs_labels() {
        let known = fetch_labels(args.address, instance);
        let unknown = |source| LabelsUnavailable { instance: instance.to_owned(), flags: "-l", source };
        chosen.set_labels(known.map_err(unknown)?);
    }
    if !args.once && io::stdout().is_terminal() {
        return terminal::follow(args, first, chosen);
    }
    once(args, &first, chosen)
}

/// Looks a second time, and prints what has happened since the first look.
fn once(args: &TopArgs, first: &Sample, mut chosen: Chosen) -> anyhow::Result<()> {
    thread::sleep(args.interval());
    let second = Sample::read(&args.instance.instance)?;
    if chosen.needs_labels() {
        match fetch_labels(args.address, &args.instance.instance) {
            Ok(known) => chosen.set_labels(known),
            Err(error) => eprintln!("waggle: labels are those of the first look: {}", Report(&*error)),
        }
    }
    print(plain::text(&Figures::compare(first, &second, &chosen)).as_bytes())?;
    Ok(())
}
