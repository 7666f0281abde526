//! `waggle explain`: says step by step what would happen to a new connection, what a reason to refuse means, and how a Service is
//! served. It reads the pinned maps, the kernel's routes and the network namespaces, runs a copy of the loaded programs on a made
//! packet, and changes nothing.

mod client;
mod decision;
mod dialled;
mod explanation;
mod facts;
mod gather;
mod holders;
mod maps;
mod memory;
mod object;
mod question;
pub(super) mod reasons;
mod steps;
mod text;
mod trial;
mod verdict;
mod wrap;

use std::{io, process::ExitCode};

use serde::Serialize;

pub use self::question::QuestionError;
use self::{
    explanation::Explanation,
    facts::Facts,
    gather::{Question, gather},
    question::{parse_client, parse_destination},
    wrap::Topic,
};
pub(super) use self::{maps::Pinned, question::parse_service};
use crate::commands::{
    cli::{ExplainArgs, ExplainOutput},
    get::{InspectError, Snapshot},
    show::print,
};

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The question has no answer.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// The maps can't be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The client's network namespace can't be looked for.
    #[error("find the client's network namespace, by which session affinity knows it (run waggle as root)")]
    Namespaces(#[source] io::Error),
}

/// The exit code if the loaded programs and the other steps disagree.
const DISAGREEMENT: u8 = 3;

/// Runs the command.
pub fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let (output, mut code) = (args.output, 0);
    let text = if let Some(label) = &args.drop {
        let report = reasons::reason(label)?;
        format(output, &report, || reasons::text(&report))?
    } else if let Some(name) = &args.object {
        let service = parse_service(name, &args.namespace)?;
        let report = object::object(&Snapshot::read(&args.instance.instance)?, &service)?;
        format(output, &report, || object::text(&report))?
    } else {
        let (facts, explanation) = connection(&question(args)?, !args.no_run)?;
        code = exit_code(&explanation);
        format(output, &explanation, || text::text(&facts, &explanation))?
    };
    print(text.as_bytes())?;
    Ok(ExitCode::from(code))
}

/// Explains a connection, and runs the programs if `is_run`. Maps may change between two looks at them, so a disagreement counts
/// only if it is found twice.
fn connection(question: &Question<'_>, is_run: bool) -> Result<(Facts, Explanation), ExplainError> {
    let explain = || {
        let facts = gather(question)?;
        let mut explanation = steps::explain(&facts);
        explanation.programs = if is_run { trial::rehearse(question.instance, &facts, &explanation) } else { None };
        Ok((facts, explanation))
    };
    let first = explain()?;
    if exit_code(&first.1) == DISAGREEMENT { explain() } else { Ok(first) }
}

/// The exit code for an explanation.
fn exit_code(explanation: &Explanation) -> u8 {
    let has_found = explanation.programs.as_ref().is_some_and(|programs| !programs.disagreements.is_empty());
    if has_found { DISAGREEMENT } else { 0 }
}

/// The explanation of a connection, in both forms.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Explained {
    /// What `-o json` prints.
    explanation: Explanation,
    /// What is printed for people, step by step.
    steps: Vec<Topic>,
}

/// Explains the connection that the arguments name, by the portable decision alone.
pub(super) fn explained(args: &ExplainArgs) -> Result<Explained, ExplainError> {
    let (facts, explanation) = connection(&question(args)?, false)?;
    Ok(Explained { steps: text::steps(&facts, &explanation), explanation })
}

fn question(args: &ExplainArgs) -> Result<Question<'_>, QuestionError> {
    let (client, destination) = (args.client.as_deref(), args.destination.as_deref());
    Ok(Question {
        caller: parse_client(client.unwrap_or_default())?,
        destination: parse_destination(destination.unwrap_or_default(), &args.namespace)?,
        protocol: args.protocol.into(),
        from: args.from,
        device: args.device.as_deref(),
        instance: &args.instance.instance,
    })
}

fn format<T: Serialize>(output: ExplainOutput, value: &T, text: impl FnOnce() -> String) -> anyhow::Result<String> {
    Ok(match output {
        ExplainOutput::Text => text(),
        ExplainOutput::Json => serde_json::to_string_pretty(value)? + "\n",
        ExplainOutput::Yaml => serde_saphyr::to_string(value)?,
    })
}

#[cfg(test)]
mod tests;
