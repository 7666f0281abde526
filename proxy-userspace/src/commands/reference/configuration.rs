//! The fields of kube-proxy's configuration file that Waggle uses, and those that it ignores.

use serde_json::Value;

use super::text::{item, row, titles};
use crate::config::kube_proxy::{FIELDS, ignored_defaults};

/// For each field that is used, the flag that says the same.
const FLAGS: [(&str, &str); 13] = [
    ("bindAddress", "--bind-address"),
    ("bindAddressHardFail", "--bind-address-hard-fail"),
    ("clientConnection.kubeconfig", "--kubeconfig"),
    ("conntrack.tcpCloseWaitTimeout", "--conntrack-tcp-timeout-close-wait"),
    ("conntrack.tcpEstablishedTimeout", "--conntrack-tcp-timeout-established"),
    ("conntrack.udpStreamTimeout", "--conntrack-udp-timeout-stream"),
    ("conntrack.udpTimeout", "--conntrack-udp-timeout"),
    ("healthzBindAddress", "--healthz-bind-address"),
    ("hostnameOverride", "--node-name"),
    ("logging.format", "--log-format"),
    ("logging.verbosity", "--v"),
    ("metricsBindAddress", "--metrics-bind-address"),
    ("nodePortAddresses", "--nodeport-addresses"),
];

/// Returns the section.
pub(super) fn section() -> String {
    let table = FLAGS.map(|(field, flag)| row([&format!("`{field}`"), &format!("`{flag}`")])).concat();
    let mut ignored = Vec::new();
    leaves(&ignored_defaults(), "", &mut ignored);
    let names: Vec<_> = ignored.into_iter().map(|name| format!("`{name}`")).collect();
    format!(
        "\
## kube-proxy's configuration file

`waggle run --config FILE` reads a KubeProxyConfiguration (`kubeproxy.config.k8s.io/v1alpha1`). Flags and environment variables take
precedence over it. These fields mean what they mean to kube-proxy:

{}{table}
These are ignored. Those that differ from kube-proxy's default are named in one warning in the log, and so are fields that
kube-proxy does not have:

{}",
        titles(["field", "flag"]),
        item(&names.join(", "))
    )
}

/// Adds the paths of all fields that have no fields of their own.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value.as_object().filter(|fields| !fields.is_empty()) {
        Some(fields) => {
            for (name, inner) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(inner, &path, found);
            }
        }
        None => found.push(path.to_owned()),
    }
}

#[test]
fn each_field_that_is_used_has_a_flag() {
    use clap::CommandFactory as _;

    let command = crate::commands::cli::Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let is_flag = |name: &str| run.get_arguments().any(|argument| argument.get_long() == name.strip_prefix("--"));
    assert!(FLAGS.iter().all(|(_, flag)| is_flag(flag)), "{FLAGS:?}");
    let fields = FIELDS.into_iter().filter(|field| !["apiVersion", "kind"].contains(field));
    assert_eq!(FLAGS.map(|(field, _)| field).to_vec(), fields.collect::<Vec<_>>());
}
