//! The commands with their arguments and flags, from the definition of the command line.

use clap::{Arg, ArgAction, Command, CommandFactory as _, builder::PossibleValue};

use super::text::{item, paragraph, sentence};
use crate::commands::cli::Cli;

/// The help of kube-proxy's flags that are ignored.
const IGNORED: &str = "Ignored";

/// The heading of flags that have none of their own.
const OTHERS: &str = "General";

/// Returns the section.
pub(super) fn section() -> String {
    let cli = Cli::command();
    let intro = "\
## Commands

Each command prints its part of this by `--help`, and `waggle --version` the release. A flag and its value may also be joined by
`=`.
";
    let commands = cli.get_subcommands().filter(|command| !command.is_hide_set()).map(command);
    std::iter::once(intro.to_owned()).chain(commands).collect::<Vec<_>>().join("\n")
}

fn command(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let about: Vec<_> = about.split("\n\n").map(|part| paragraph(&sentence(part))).collect();
    let mut text = format!("### `waggle {}`\n\n{}", command.get_name(), about.join("\n"));
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set() && argument.get_id() != "help");
    let mut groups: Vec<(&str, Vec<&Arg>)> = Vec::new();
    for argument in shown {
        let heading = argument.get_help_heading().unwrap_or(OTHERS);
        match groups.iter_mut().find(|(name, _)| *name == heading) {
            Some((_, group)) => group.push(argument),
            None => groups.push((heading, vec![argument])),
        }
    }
    let has_headings = groups.len() > 1;
    for (heading, group) in groups {
        if has_headings {
            text.extend(["\n#### ", heading, "\n"]);
        }
        text.push('\n');
        text.extend(group.into_iter().map(argument));
    }
    text + &after_help(command) + &of_kube_proxy(command)
}

/// Returns what follows the flags in a command's help: examples as a code block, then what else there is to say.
fn after_help(command: &Command) -> String {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let Some(help) = help.strip_prefix("Examples:\n") else { return String::new() };
    let (examples, prose) = help.split_once("\n\n").unwrap_or((help, ""));
    let examples: Vec<_> = examples.lines().map(str::trim).collect();
    let prose = if prose.is_empty() { String::new() } else { format!("\n{}", paragraph(prose)) };
    format!("\n```\n{}\n```\n{prose}", examples.join("\n"))
}

/// Returns what a user types for an argument: `--flag VALUE`, `NAME…`.
fn usage(argument: &Arg) -> String {
    let value = argument.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
    let Some(long) = argument.get_long() else { return format!("`{value}`") };
    let value = match argument.get_action() {
        ArgAction::SetTrue | ArgAction::Help | ArgAction::Version => String::new(),
        _ if argument.is_require_equals_set() => format!("[={value}]"),
        _ => format!(" {value}"),
    };
    let short = argument.get_short().map(|short| format!(", `-{short}`")).unwrap_or_default();
    format!("`--{long}{value}`{short}")
}

fn argument(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    // Where the default is no value, the help says it itself.
    let (help, own) = match help.split_once(" [default: ") {
        Some((help, default)) => (help.to_owned(), Some(shown(default.trim_end_matches(']')))),
        None => (help, None),
    };
    let defaults = argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy()));
    let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
    let default = own.or_else(|| (!is_switch).then(|| defaults.collect::<Vec<_>>().join(", ")));
    let mut notes: Vec<String> = Vec::new();
    notes.extend(plain_values(argument));
    notes.extend(default.filter(|default| !default.is_empty()).map(|default| format!("Default: {default}")));
    notes.extend(argument.get_env().map(|name| format!("Environment: `{}`", name.to_string_lossy())));
    notes.extend(aliases(argument));
    let sentences = std::iter::once(format!("{}: {help}", usage(argument))).chain(notes);
    let text = item(&sentences.map(|text| sentence(&text)).collect::<Vec<_>>().join(" "));
    text + &values(argument)
}

/// Returns a default that the help says: a value is code, a description has several words.
fn shown(default: &str) -> String {
    if default.contains(' ') { default.to_owned() } else { format!("`{default}`") }
}

fn aliases(argument: &Arg) -> Option<String> {
    let aliases = argument.get_all_aliases()?;
    let aliases: Vec<_> = aliases.iter().map(|alias| format!("`--{alias}`")).collect();
    (!aliases.is_empty()).then(|| format!("kube-proxy's name: {}", aliases.join(", ")))
}

/// Returns the values that the argument may have, if they are known and say nothing of themselves.
fn plain_values(argument: &Arg) -> Option<String> {
    let values = argument.get_possible_values();
    let is_shown = |value: &&PossibleValue| !value.is_hide_set() && value.get_help().is_none();
    let names: Vec<_> = values.iter().filter(is_shown).map(|value| format!("`{}`", value.get_name())).collect();
    // Of a BOOL everyone knows the values.
    (!names.is_empty() && names[0] != "`true`").then(|| format!("One of {}", names.join(", ")))
}

/// Returns an item for each value that the argument may have, if the values are known and say something.
fn values(argument: &Arg) -> String {
    let values = argument.get_possible_values();
    let described = values.iter().filter(|value| !value.is_hide_set() && value.get_help().is_some());
    let items = described.map(|value| {
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        let names: Vec<_> = value.get_name_and_aliases().map(|name| format!("`{name}`")).collect();
        let text = item(&format!("{}: {}", names.join(", "), sentence(&help)));
        format!("  {}\n", text.trim_end().replace('\n', "\n  "))
    });
    items.collect::<Vec<_>>().concat()
}

/// Returns what is said of kube-proxy's flags, if the command takes them.
fn of_kube_proxy(command: &Command) -> String {
    let hidden: Vec<&Arg> = command.get_arguments().filter(|argument| argument.is_hide_set()).collect();
    if hidden.is_empty() {
        return String::new();
    }
    let help = |argument: &Arg| argument.get_help().map(ToString::to_string).unwrap_or_default();
    let (ignored, used): (Vec<&Arg>, Vec<&Arg>) = hidden.into_iter().partition(|argument| help(argument) == IGNORED);
    let used: String = used.into_iter().map(argument).collect();
    let names: Vec<_> =
        ignored.iter().filter_map(|argument| argument.get_long()).map(|name| format!("`--{name}`")).collect();
    format!(
        "\n#### kube-proxy's flags\n\nkube-proxy's command lines are accepted. Those of the flags above that kube-proxy has \
         mean what they mean to it, and so\ndo these:\n\n{used}\nThese, of all releases of kube-proxy, are ignored, and one \
         warning in the log names those that were given:\n\n{}",
        item(&names.join(", "))
    )
}
