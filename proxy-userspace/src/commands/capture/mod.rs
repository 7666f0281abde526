//! `waggle capture`: writes what Waggle's programs on devices receive and send to a pcapng file, with a comment on each packet. It
//! traces the loaded programs from outside (ADR 21); the agent has no part in it, and nothing is changed.

mod comment;
mod error;
mod file;
mod filter;
mod frame;
mod hook;
mod mac;
mod names;
mod packet;
mod session;
mod sets;
mod targets;
mod tracer;

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write},
    path::Path,
    process::ExitCode,
};

use proxy_common::capture::Settings;

pub use self::{error::CaptureError, file::PacketFile, hook::Stage, packet::Packet};
use self::{
    filter::{Filter, reasons},
    session::Session,
};
use crate::commands::{
    cli::{CaptureArgs, PacketVerdict},
    explain::parse_service,
    get::{Snapshot, service_ports},
};

/// The name of standard output.
const STANDARD_OUTPUT: &str = "-";

/// Runs the command, until Ctrl-C, the asked number of packets, or the end of the reader or of the instance.
pub fn run(args: &CaptureArgs) -> anyhow::Result<ExitCode> {
    let (filter, settings) = (filter(args)?, settings(args)?);
    if args.write == Path::new(STANDARD_OUTPUT) && io::stdout().is_terminal() {
        return Err(CaptureError::Terminal.into());
    }
    let session = Session::begin(args, filter, settings)?;
    // Only now, so that an error leaves no empty file, nor empties one.
    let writer = BufWriter::new(output(&args.write)?);
    let file = PacketFile::new(writer, args.snaplen).map_err(|source| written(&args.write, source))?;
    let (result, summary) = session.run(file);
    eprintln!("waggle: {summary}");
    match result {
        Err(CaptureError::Write { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => Ok(result.map(|()| ExitCode::SUCCESS)?),
    }
}

fn filter(args: &CaptureArgs) -> anyhow::Result<Filter> {
    let service = args.service.as_deref().map(|text| service(args, text)).transpose()?;
    Ok(Filter {
        service,
        host: args.host,
        port: args.port,
        protocol: args.protocol.map(Into::into),
        verdicts: args.verdict.clone(),
    })
}

/// Returns the namespace and name of a Service that is in the maps.
fn service(args: &CaptureArgs, text: &str) -> anyhow::Result<String> {
    let wanted = parse_service(text, &args.namespace)?;
    let ports = service_ports(&Snapshot::read(&args.instance.instance)?);
    let is_there = ports.keys().any(|port| port.namespace == wanted.namespace && port.name == wanted.name);
    if is_there { Ok(wanted.to_string()) } else { Err(CaptureError::Service(wanted.to_string()).into()) }
}

fn settings(args: &CaptureArgs) -> Result<Settings, CaptureError> {
    // What passes untouched raises no counter.
    let all = args.all || args.verdict.contains(&PacketVerdict::Passed);
    Ok(Settings {
        counters: reasons(&args.reason)?,
        snaplen: args.snaplen,
        all: all.into(),
        by_device: u32::from(!args.device.is_empty()),
        ..Settings::default()
    })
}

fn output(path: &Path) -> Result<Box<dyn Write>, CaptureError> {
    if path == Path::new(STANDARD_OUTPUT) {
        return Ok(Box::new(io::stdout()));
    }
    let file = File::create(path).map_err(|source| CaptureError::Create { path: path.to_owned(), source })?;
    Ok(Box::new(file))
}

fn written(path: &Path, source: io::Error) -> CaptureError {
    CaptureError::Write { path: path.to_owned(), source }
}
