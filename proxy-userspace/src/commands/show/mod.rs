//! Prints what is asked for on standard output. A reader that closes the pipe, as in `waggle get … | head`, ends the command
//! without an error.

mod labels;
mod printer;

use std::{
    io::{self, ErrorKind, Write as _},
    thread,
    time::Duration,
};

use clap::CommandFactory as _;

use self::{labels::LabelSource, printer::Printer};
use crate::{
    commands::{
        cli::{Cli, GetArgs, InstanceArgs, NotOfKind, Shell, What},
        get::{
            Clients, Fill, InspectError, Pins, Row, Seen, Selected, Selection, Snapshot, SortBy, Tracked, affinity,
            backends, bpftool_commands, devices, drops, endpoints, flows, maps, read_consistently, read_counters,
            services,
        },
    },
    maps::PinFolder,
};

/// How often `--watch` reads the maps.
const PERIOD: Duration = Duration::from_secs(1);
/// How long to wait before a look is repeated, because maps were being replaced.
const PAUSE: Duration = Duration::from_millis(50);
/// How often the first look is tried: for a second, so that an error is reported soon.
const FIRST_TRIES: u32 = 20;
/// How often a later look is tried: for ten seconds, since an agent or a clean-up may be slow.
const TRIES: u32 = 200;

/// Prints a completion script.
pub fn completion(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::from(shell), &mut Cli::command(), "waggle", &mut script);
    print(&script)?;
    Ok(())
}

/// `waggle bpftool`.
pub fn bpftool(args: &InstanceArgs) -> anyhow::Result<()> {
    print(bpftool_commands(&args.instance)?.as_bytes())?;
    Ok(())
}

/// `waggle get`. With `--watch` it only ends when the reader closes the pipe, or the instance can no longer be read.
pub fn get(args: &GetArgs) -> anyhow::Result<()> {
    let instance = args.instance.instance.as_str();
    match args.what.kind {
        What::Services => show(args, || Ok(services(&Snapshot::read(instance)?))),
        What::Endpoints => show(args, || Ok(endpoints(&Snapshot::read(instance)?))),
        What::Backends => show(args, || Ok(backends(&Snapshot::read(instance)?))),
        What::Flows => show(args, || Ok(flows(&Snapshot::read(instance)?, &Tracked::read(instance)?))),
        What::Affinity => show(args, || Ok(affinity(&Snapshot::read(instance)?, &Clients::read(instance)?))),
        What::Drops => show(args, || Ok(drops(&read_counters(instance)?))),
        What::Maps => show(args, || Ok(maps(&Fill::read(instance)?))),
        What::Devices => show(args, || devices(instance)),
    }
}

/// Prints the rows, then an error if a name has none, then those that change.
fn show<R: Row + Clone>(args: &GetArgs, read: impl Fn() -> Result<Vec<R>, InspectError>) -> anyhow::Result<()> {
    let selection = selection(args)?;
    selection.fields.check::<R>()?;
    selection.sort_by.as_ref().map_or(Ok(()), SortBy::check::<R>)?;
    labels::check(args)?;
    let folder = PinFolder::new(&args.instance.instance);
    let look = |tries| read_consistently(tries, || Pins::read(&folder), &read, || thread::sleep(PAUSE));
    let mut labels = LabelSource::default();
    // The agent takes a Service's labels before it writes the maps, and forgets them before it removes the Service from the maps.
    // So a row without labels belongs to a Service that is being removed.
    let rows = look(FIRST_TRIES)?;
    labels.fetch(args)?;
    let (rows, found) = select(args, &selection, rows, &labels)?;
    let mut printer = Printer::new(args);
    if rows.is_empty() && found.is_ok() && !args.watch && printer.is_table() {
        eprintln!("waggle: {}", selection.nothing::<R>());
    }
    let is_printed = !(rows.is_empty() && found.is_err()) || args.watch;
    let mut seen = Seen::default();
    let text = printer.text(&seen.take(rows)?)?;
    let mut is_open = is_printed && print(text.as_bytes())?;
    found?;
    while args.watch && is_open {
        thread::sleep(PERIOD);
        let rows = look(TRIES).map_err(|error| of_watch(&args.instance.instance, error))?;
        labels.fetch_again(args);
        // Names that go while they are watched are no error.
        let events = seen.take(select(args, &selection, rows, &labels)?.0)?;
        if !events.is_empty() {
            is_open = print(printer.text(&events)?.as_bytes())?;
        }
    }
    Ok(())
}

/// Returns the rows that are asked for, with their labels if those are to be shown.
fn select<R: Row>(
    args: &GetArgs,
    selection: &Selection,
    rows: Vec<R>,
    labels: &LabelSource,
) -> Result<Selected<R>, serde_json::Error> {
    let (mut rows, found) = selection.select(rows, labels.known())?;
    if args.show_labels {
        labels.known().show_in(&mut rows);
    }
    Ok((rows, found))
}

fn selection(args: &GetArgs) -> Result<Selection, NotOfKind> {
    let fields = args.field_selector.clone().unwrap_or_default();
    let labels = args.selector.clone().unwrap_or_default();
    let sort_by = args.sort_by.as_deref().map(SortBy::new);
    Ok(Selection { namespace: args.namespace.clone(), names: args.names()?, fields, labels, sort_by })
}

/// The error that ends a watch whose instance is gone.
#[derive(Debug, thiserror::Error)]
#[error("watch instance {instance:?}: its data plane has been removed, as `waggle cleanup` does")]
struct Removed {
    instance: String,
}

/// Returns the error that ends a watch.
fn of_watch(instance: &str, error: InspectError) -> anyhow::Error {
    match error {
        InspectError::Missing { .. } => Removed { instance: instance.to_owned() }.into(),
        other => other.into(),
    }
}

/// Writes to standard output. False if the reader has closed it.
pub(super) fn print(bytes: &[u8]) -> io::Result<bool> {
    let mut out = io::stdout();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}
