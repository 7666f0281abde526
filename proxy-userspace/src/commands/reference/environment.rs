//! Environment variables, and exit codes.

use std::collections::BTreeMap;

use clap::CommandFactory as _;

use super::text::{marked, row, titles};
use crate::commands::cli::Cli;

/// The variables that are no flags.
const OTHERS: [(&str, &str); 5] = [
    (
        "HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
        "The HTTP proxy on the way to the API server, unless the kubeconfig has a `proxy-url`; never for loopback. Names in lower \
         case count, too",
    ),
    ("KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT", "The API server, in a pod: used without --kubeconfig"),
    ("NO_COLOR", "If set and not empty, nothing is printed in colours, also not on a terminal"),
    ("RUST_BACKTRACE", "With `1` the log has a backtrace if the agent panics"),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "The certificate authorities that may have signed the API server's certificate, if the kubeconfig names none, instead of \
         the system's",
    ),
];

/// Returns the section.
pub(super) fn section() -> String {
    let rows = variables().into_iter().map(|(name, meaning)| {
        let names: Vec<_> = name.split(", ").map(|name| format!("`{name}`")).collect();
        row([&names.join(", "), &meaning])
    });
    format!(
        "\
## Exit codes

| code | meaning |
|---|---|
| 0 | The command has done what was asked; the agent was stopped by SIGTERM or SIGINT |
| 1 | It has failed, and standard error says why; or the answer is no, where a command above says so |
| 2 | The command line can't be parsed |
| 3 | Of `waggle explain` only: the loaded programs disagree with the other steps |

## Environment variables

{}{}",
        titles(["variable", "meaning"]),
        rows.collect::<String>()
    )
}

/// Returns the variables by name, with their meanings.
fn variables() -> BTreeMap<String, String> {
    let cli = Cli::command();
    let mut flags: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    for command in cli.get_subcommands() {
        for (variable, flag) in
            command.get_arguments().filter_map(|argument| argument.get_env().zip(argument.get_long()))
        {
            let (_, commands) =
                flags.entry(variable.to_string_lossy().into_owned()).or_insert_with(|| (flag.to_owned(), Vec::new()));
            commands.push(format!("`waggle {}`", command.get_name()));
        }
    }
    let flags = flags.into_iter().map(|(variable, (flag, commands))| {
        (variable, format!("`--{flag}` of {}; a flag takes precedence", commands.join(" and ")))
    });
    let others = OTHERS.map(|(name, meaning)| (name.to_owned(), marked(meaning)));
    flags.chain(others).collect()
}
