//! `waggle top`: the rates of Services, their backends, and what is refused, live on the terminal or once as plain text. It
//! reads the pinned maps as `waggle get` does, asks the agent for labels where they choose Services, and changes nothing.

pub(super) mod backends;
pub(super) mod chosen;
mod draw;
mod frame;
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

use self::{chosen::Chosen, frame::Frame, rates::Figures, sample::Sample};
use crate::{
    commands::{
        cli::{TopArgs, TopOutput},
        fetch_labels::{LabelsUnavailable, fetch_labels},
        show::print,
    },
    logging::errors::Report,
};

/// Runs the command. It fails at once if the instance can't be read, a Service that is named isn't there, or labels that choose
/// Services are not known; a later failure is shown, and tried again.
pub fn run(args: &TopArgs) -> anyhow::Result<()> {
    let mut chosen = Chosen::new(args)?;
    let first = Sample::read(&args.instance.instance)?;
    chosen.check(&first)?;
    if chosen.needs_labels() {
        take_labels(args, &mut chosen)?;
    }
    if !args.is_once() && io::stdout().is_terminal() {
        return terminal::follow(args, first, chosen);
    }
    once(args, &first, chosen)
}

/// Looks a second time, and prints what has happened since the first look.
fn once(args: &TopArgs, first: &Sample, mut chosen: Chosen) -> anyhow::Result<()> {
    thread::sleep(args.interval());
    let second = Sample::read(&args.instance.instance)?;
    if chosen.needs_labels()
        && let Err(error) = take_labels(args, &mut chosen)
    {
        eprintln!("waggle: labels are those of the first look: {}", Report(&*error.source));
    }
    let figures = Figures::compare(first, &second, &chosen);
    let text = match args.output {
        TopOutput::Table => plain::text(&figures),
        TopOutput::Json => serde_json::to_string_pretty(&Frame::from(&figures))? + "\n",
        TopOutput::Yaml => serde_saphyr::to_string(&Frame::from(&figures))?,
    };
    print(text.as_bytes())?;
    Ok(())
}

/// Takes the labels that the agent reports, if they have changed.
fn take_labels(args: &TopArgs, chosen: &mut Chosen) -> Result<(), LabelsUnavailable> {
    if let Some(reported) = fetch_labels(args.address, &args.instance.instance, chosen.tag(), "-l")? {
        chosen.set_labels(reported);
    }
    Ok(())
}
