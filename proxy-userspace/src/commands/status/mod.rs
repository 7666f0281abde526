//! `waggle status`: how well an instance is, on one screen. A running agent says it over HTTP; without one, the pinned maps and
//! hooks say what is served. Changes nothing.

mod pinned;
mod text;

use std::{
    env,
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use self::{pinned::Pinned, text::Style};
use super::{
    cli::{Output, StatusArgs},
    fetch::{OtherInstance, fetch},
    get::InspectError,
    show::print,
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

/// Prints the status. The exit code is 1 if the instance is unhealthy.
pub fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let report = report(args)?;
    let is_coloured = colour::is_wanted(io::stdout().is_terminal(), env::var_os("NO_COLOR").as_deref());
    let text = match args.output {
        Output::Table | Output::Wide => {
            text::text(&report, Style { is_wide: args.output == Output::Wide, is_coloured })
        }
        Output::Json => serde_json::to_string_pretty(&report)? + "\n",
        Output::Yaml => serde_saphyr::to_string(&report)?,
    };
    print(text.as_bytes())?;
    Ok(if report.health == Health::Unhealthy { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
