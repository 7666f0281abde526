//! `waggle explain`: says step by step what would happen to a new connection, what a reason to refuse means, and how a Service is
//! served. It reads the pinned maps, the kernel's routes and the network namespaces, and changes nothing.

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
mod reasons;
mod steps;
mod text;
mod verdict;
mod wrap;

use std::io;

use serde::Serialize;

use self::{
    gather::{Question, gather},
    question::{QuestionError, parse_client, parse_destination},
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

/// Runs the command.
pub fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    let output = args.output;
    let text = if let Some(label) = &args.drop {
        let report = reasons::reason(label)?;
        format(output, &report, || reasons::text(&report))?
    } else if let Some(name) = &args.object {
        let service = parse_service(name, &args.namespace)?;
        let report = object::object(&Snapshot::read(&args.instance.instance)?, &service)?;
        format(output, &report, || object::text(&report))?
    } else {
        let facts = gather(&question(args)?)?;
        let explanation = steps::explain(&facts);
        format(output, &explanation, || text::text(&facts, &explanation))?
    };
    print(text.as_bytes())?;
    Ok(())
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
