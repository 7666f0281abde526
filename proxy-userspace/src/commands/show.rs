//! Prints what is asked for on standard output. A reader that closes the pipe, as in `waggle get … | head`, ends the command without
//! an error.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Write as _},
    thread,
    time::Duration,
};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::commands::{
    cli::{Cli, GetArgs, Output, What},
    get::{InspectError, Look, Row, Selection, Snapshot, backends, devices, json, services, table, yaml},
};

/// How often `--watch` reads the maps.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints a completion script.
pub fn completion(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "waggle", &mut script);
    print(&script)?;
    Ok(())
}

/// `waggle get`. With `--watch` it only ends when the reader closes the pipe.
pub fn get(args: &GetArgs) -> anyhow::Result<()> {
    let instance = args.instance.instance.as_str();
    match args.what {
        What::Services => show(args, || Ok(services(&Snapshot::read(instance)?))),
        What::Backends => show(args, || Ok(backends(&Snapshot::read(instance)?))),
        What::Devices => show(args, || devices(instance)),
    }
}

fn show<R: Row>(args: &GetArgs, read: impl Fn() -> Result<Vec<R>, InspectError>) -> anyhow::Result<()> {
    let selection = Selection { namespace: args.namespace.clone(), names: args.names.clone() };
    let rows = selection.select(read()?)?;
    if rows.is_empty() && matches!(args.output, Output::Table | Output::Wide) {
        eprintln!("waggle: no {} found", R::KIND);
    }
    let mut is_open = print(render(&rows, args, args.no_headers || rows.is_empty())?.as_bytes())?;
    let mut seen = texts(&rows)?;
    while args.watch && is_open {
        thread::sleep(PAUSE);
        // Names that go while they are watched are no error.
        let selection = Selection { names: Vec::new(), ..selection.clone() };
        let is_meant = |row: &R| args.names.is_empty() || args.names.iter().any(|name| row.is_named(name));
        let rows: Vec<R> = selection.select(read()?)?.into_iter().filter(is_meant).collect();
        let now = texts(&rows)?;
        let mut changed = Vec::new();
        for row in rows {
            if !seen.contains(&serde_json::to_string(&row)?) {
                changed.push(row);
            }
        }
        if !changed.is_empty() {
            is_open = print(render(&changed, args, true)?.as_bytes())?;
        }
        seen = now;
    }
    Ok(())
}

fn texts<R: Row>(rows: &[R]) -> Result<BTreeSet<String>, serde_json::Error> {
    rows.iter().map(serde_json::to_string).collect()
}

fn render<R: Row>(rows: &[R], args: &GetArgs, is_bare: bool) -> anyhow::Result<String> {
    Ok(match args.output {
        Output::Table => table(rows, Look { is_wide: false, is_bare }),
        Output::Wide => table(rows, Look { is_wide: true, is_bare }),
        Output::Json => json(rows)?,
        Output::Yaml => yaml(rows)?,
    })
}

/// Writes to standard output. False if the reader has closed it.
fn print(bytes: &[u8]) -> io::Result<bool> {
    let mut out = io::stdout();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}
