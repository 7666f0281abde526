//! Prints what is asked for on standard output. A reader that closes the pipe, as in `waggle get … | head`, ends the command
//! without an error.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Write as _},
    mem, thread,
    time::Duration,
};

use clap::CommandFactory as _;

use crate::commands::{
    cli::{Cli, GetArgs, Output, Shell, What},
    get::{
        Clients, Columns, Fill, InspectError, Look, Row, Selection, Snapshot, Tracked, affinity, backends, devices,
        drops, endpoints, flows, json, maps, read_counters, services, yaml,
    },
};

/// How often `--watch` reads the maps.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints a completion script.
pub fn completion(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::from(shell), &mut Cli::command(), "waggle", &mut script);
    print(&script)?;
    Ok(())
}

/// `waggle get`. With `--watch` it only ends when the reader closes the pipe.
pub fn get(args: &GetArgs) -> anyhow::Result<()> {
    let instance = args.instance.instance.as_str();
    match args.what {
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
fn show<R: Row>(args: &GetArgs, read: impl Fn() -> Result<Vec<R>, InspectError>) -> anyhow::Result<()> {
    let selection = Selection { namespace: args.namespace.clone(), names: args.names.clone() };
    let mut printer = Printer::new(args);
    let (rows, found) = selection.select(read()?);
    if rows.is_empty() && found.is_ok() && !args.watch && printer.is_table() {
        eprintln!("waggle: {}", selection.nothing::<R>());
    }
    let mut is_open = !(rows.is_empty() && found.is_err()) || args.watch;
    is_open = is_open && print(printer.text(&rows)?.as_bytes())?;
    found?;
    let mut seen = Seen::default();
    seen.take(rows)?;
    while args.watch && is_open {
        thread::sleep(PAUSE);
        // Names that go while they are watched are no error.
        let changed = seen.take(selection.select(read()?).0)?;
        if !changed.is_empty() {
            is_open = print(printer.text(&changed)?.as_bytes())?;
        }
    }
    Ok(())
}

/// What the last look showed.
#[derive(Debug, Default)]
struct Seen(BTreeSet<String>);

impl Seen {
    /// Returns the rows that are new or differ since the last call.
    fn take<R: Row>(&mut self, rows: Vec<R>) -> Result<Vec<R>, serde_json::Error> {
        let now: Vec<String> = rows.iter().map(Row::watched).collect::<Result<_, _>>()?;
        let changed = rows.into_iter().zip(&now).filter(|(_, text)| !self.0.contains(*text)).map(|(row, _)| row);
        let changed = changed.collect();
        self.0 = now.into_iter().collect();
        Ok(changed)
    }
}

/// Formats one text after the other.
struct Printer {
    output: Output,
    columns: Columns,
    /// No titles any more.
    is_bare: bool,
    /// Something has been printed.
    has_begun: bool,
}

impl Printer {
    fn new(args: &GetArgs) -> Self {
        Self { output: args.output, columns: Columns::default(), is_bare: args.no_headers, has_begun: false }
    }

    fn is_table(&self) -> bool {
        matches!(self.output, Output::Table | Output::Wide)
    }

    /// Formats rows. A table has titles once, above its first rows; several YAML documents are separated.
    fn text<R: Row>(&mut self, rows: &[R]) -> anyhow::Result<String> {
        if self.is_table() && rows.is_empty() {
            return Ok(String::new());
        }
        let is_first = !mem::replace(&mut self.has_begun, true);
        let is_wide = self.output == Output::Wide;
        Ok(match self.output {
            Output::Table | Output::Wide => {
                self.columns.format(rows, Look { is_wide, is_bare: mem::replace(&mut self.is_bare, true) })
            }
            Output::Json => json(rows)?,
            Output::Yaml if is_first => yaml(rows)?,
            Output::Yaml => "---\n".to_owned() + &yaml(rows)?,
        })
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

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Clone, Serialize)]
    struct Lamp {
        name: &'static str,
        is_on: bool,
        age: u32,
    }

    impl Row for Lamp {
        const KIND: &'static str = "lamps";
        const TITLES: &'static [&'static str] = &["NAME", "ON"];

        fn cells(&self) -> Vec<String> {
            vec![self.name.to_owned(), self.is_on.to_string()]
        }

        fn is_named(&self, name: &str) -> bool {
            self.name == name
        }

        fn watched(&self) -> Result<String, serde_json::Error> {
            serde_json::to_string(&Self { age: 0, ..self.clone() })
        }
    }

    fn lamp(name: &'static str, is_on: bool, age: u32) -> Lamp {
        Lamp { name, is_on, age }
    }

    fn printer(output: Output) -> Printer {
        Printer { output, columns: Columns::default(), is_bare: false, has_begun: false }
    }

    #[test]
    fn watching_shows_rows_that_come_or_change() {
        let mut seen = Seen::default();
        let mut names = |rows: Vec<Lamp>| -> Vec<_> {
            seen.take(rows).unwrap().iter().map(|lamp| (lamp.name, lamp.is_on)).collect()
        };
        assert_eq!(names(vec![lamp("a", true, 0), lamp("b", true, 0)]), [("a", true), ("b", true)]);
        assert_eq!(names(vec![lamp("a", true, 1), lamp("b", false, 1)]), [("b", false)]);
        assert_eq!(names(vec![lamp("b", false, 2)]), []);
        assert_eq!(names(vec![lamp("a", true, 3), lamp("b", false, 3)]), [("a", true)], "it has come back");
    }

    #[test]
    fn later_rows_stand_below_the_first_ones() {
        let mut printer = printer(Output::Table);
        assert_eq!(printer.text::<Lamp>(&[]).unwrap(), "");
        assert_eq!(printer.text(&[lamp("kitchen", true, 0)]).unwrap(), "NAME      ON\nkitchen   true\n");
        assert_eq!(printer.text(&[lamp("hall", false, 0)]).unwrap(), "hall      false\n");
    }

    #[test]
    fn each_change_is_a_document_of_its_own() {
        let mut yaml = printer(Output::Yaml);
        let texts = [vec![], vec![lamp("a", true, 0)]].map(|rows| yaml.text(&rows).unwrap());
        let documents: Vec<Vec<serde_json::Value>> = serde_saphyr::from_multiple(&texts.concat()).unwrap();
        assert_eq!(documents.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
    }
}
