//! Flags and commands of `waggle` that the pages name.

use std::collections::BTreeSet;

use clap::{CommandFactory as _, error::ErrorKind};
use proxy_userspace::commands::cli::Cli;

use super::{code, pages};

/// Flags of other programs that the pages type.
const OTHERS: [&str; 38] = [
    "again",
    "all",
    "all-namespaces",
    "bin",
    "book",
    "cascade",
    "charts",
    "check",
    "cleanup",
    "client",
    "dirty",
    "disable-kube-proxy",
    "families",
    "for",
    "from-literal",
    "help",
    "install",
    "json",
    "markdown",
    "minify",
    "minutes",
    "nodes",
    "now",
    "once",
    "only",
    "package",
    "proxy",
    "quick",
    "release",
    "reset-then-reuse-values",
    "reuse-values",
    "seed",
    "set",
    "skip-phases",
    "take-ownership",
    "test",
    "version",
    "wait",
];

/// Flags of waggle and of the plugin of kubectl, and those of other programs.
fn known_flags() -> BTreeSet<String> {
    let plugin = include_str!("../../../deploy/kubectl-waggle");
    let command = Cli::command();
    let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let names = arguments
        .flat_map(|argument| argument.get_long().into_iter().chain(argument.get_all_aliases().unwrap_or_default()));
    names.map(str::to_owned).chain(OTHERS.into_iter().chain(flags(plugin)).map(str::to_owned)).collect()
}

/// Every `--flag` in a text; `--max-…` stands for several.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("--").skip(1);
    let is_other = |c: char| c != '-' && !c.is_ascii_lowercase() && !c.is_ascii_digit();
    let names = after.map(move |rest| rest.split(is_other).next().unwrap_or_default());
    names.filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
}

#[test]
fn every_flag_that_the_documents_name_is_there() {
    let known = known_flags();
    let is_known = |flag: &str| match flag.strip_suffix('-') {
        Some(start) => known.iter().any(|known| known.starts_with(start)),
        None => known.contains(flag),
    };
    for (page, text) in pages() {
        let unknown: BTreeSet<_> = flags(&text).filter(|flag| !is_known(flag)).collect();
        assert!(unknown.is_empty(), "{page} names flags that are not there: {unknown:?}");
    }
}

/// Parses a command line that begins with `waggle`, up to a comment, a pipe or a redirection.
fn parse(line: &str) -> Result<Cli, clap::Error> {
    let line = [" #", " |", " >"].iter().fold(line, |line, end| line.split(end).next().unwrap_or_default());
    Cli::read(shlex::split(line).unwrap_or_else(|| panic!("{line}: a quotation mark has no second one")))
}

#[test]
fn every_command_of_waggle_in_a_code_block_can_be_typed() {
    let mut count = 0;
    for (page, text) in pages() {
        let lines = code(&text).map(|line| line.trim().trim_start_matches("# "));
        let typed = lines.filter_map(|line| match line.split_once(" -- waggle ") {
            Some((_, rest)) => Some(format!("waggle {rest}")),
            None => line.starts_with("waggle ").then(|| line.to_owned()),
        });
        for line in typed {
            count += 1;
            if let Err(error) = parse(&line)
                && error.kind() != ErrorKind::DisplayHelp
            {
                panic!("{page}: {line}: {error}");
            }
        }
    }
    assert!(count > 20, "only {count} commands were found");
}

#[test]
fn every_command_of_waggle_in_prose_is_known() {
    const UNKNOWN: [ErrorKind; 3] =
        [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument, ErrorKind::ArgumentConflict];
    for (page, text) in pages() {
        let prose: String = text.split("```").step_by(2).collect();
        for span in prose.split('`').skip(1).step_by(2).filter(|span| span.starts_with("waggle ")) {
            let line = span.split_whitespace().collect::<Vec<_>>().join(" ");
            if let Err(error) = parse(&line) {
                assert!(!UNKNOWN.contains(&error.kind()), "{page}: {span}: {error}");
            }
        }
    }
}
