//! `waggle status`: the state of an instance, on one screen. A running agent reports it over HTTP; without one, the pinned maps and
//! hooks say what is served. Changes nothing.

mod pinned;
mod text;

use std::{
    env,
    io::{self, IsTerminal as _},
    process::ExitCode,
    thread,
    time::Duration,
};

use crossterm::{
    cursor::MoveTo,
    terminal::{Clear, ClearType},
};

use self::{pinned::Pinned, text::Style};
use super::{
    cli::{Output, StatusArgs},
    fetch::{OtherInstance, fetch},
    get::InspectError,
    show::print,
    tolerance::Tolerance,
};
use crate::{
    logging::{colour, errors::Report},
    server::status::{Health, PATH, StatusReport},
};

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
#[error("show the status of instance {instance:?}: {agent}; nor do its pins say what is served")]
pub struct StatusError {
    instance: String,
    /// Why no agent says it.
    agent: String,
    source: Box<InspectError>,
}

/// The time between two looks of `--watch`.
const PERIOD: Duration = Duration::from_secs(1);
/// How many looks in succession may fail: for ten seconds, since an agent that replaces maps may be slow.
const MAX_FAILURES: u32 = 10;

/// Prints the status. The exit code is 1 if the instance is unhealthy. With `--watch` it only ends when the reader closes the pipe,
/// or nothing can be said of the instance any more.
pub fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let first = report(args)?;
    if args.watch {
        follow(args, &first)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(formatted(args, &first)?.as_bytes())?;
    Ok(if first.health == Health::Unhealthy { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints the first status, then the latest one every second. A terminal is cleared before each.
fn follow(args: &StatusArgs, first: &StatusReport) -> anyhow::Result<()> {
    let is_screen = io::stdout().is_terminal() && matches!(args.output, Output::Table | Output::Wide);
    let clear = if is_screen { format!("{}{}", Clear(ClearType::All), MoveTo(0, 0)) } else { String::new() };
    let mut tolerance = Tolerance::new(MAX_FAILURES);
    let mut is_open = print((clear.clone() + &formatted(args, first)?).as_bytes())?;
    while is_open {
        thread::sleep(PERIOD);
        let look = report(args);
        if let Ok(latest) = &look {
            is_open = print((clear.clone() + &formatted(args, latest)?).as_bytes())?;
        }
        tolerance.take(look.map(drop))?;
    }
    Ok(())
}

/// Returns a status in the form that is asked for. Of several, each in JSON is on a line of its own, and each in YAML a document.
fn formatted(args: &StatusArgs, report: &StatusReport) -> anyhow::Result<String> {
    let is_coloured = colour::is_wanted(io::stdout().is_terminal(), env::var_os("NO_COLOR").as_deref());
    Ok(match args.output {
        Output::Table | Output::Wide => text::text(report, Style { is_wide: args.output == Output::Wide, is_coloured }),
        Output::Json if args.watch => serde_json::to_string(report)? + "\n",
        Output::Json => serde_json::to_string_pretty(report)? + "\n",
        Output::Yaml if args.watch => format!("---\n{}", serde_saphyr::to_string(report)?),
        Output::Yaml => serde_saphyr::to_string(report)?,
    })
}

fn report(args: &StatusArgs) -> Result<StatusReport, StatusError> {
    let instance = args.instance.instance.as_str();
    let unknown: Box<dyn std::error::Error> = match fetch::<StatusReport>(args.address, PATH) {
        Ok(report) if report.instance == instance => return Ok(report),
        Ok(other) => Box::new(OtherInstance { address: args.address, found: other.instance }),
        Err(error) => Box::new(error),
    };
    match Pinned::read(instance) {
        Ok(pinned) => Ok(pinned.report(instance, unknown.as_ref())),
        Err(source) => {
            let agent = Report(unknown.as_ref()).to_string();
            Err(StatusError { instance: instance.to_owned(), agent, source: Box::new(source) })
        }
    }
}
