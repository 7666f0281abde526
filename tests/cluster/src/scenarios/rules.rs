//! The rules of netfilter on a node.

use anyhow::{Context as _, Result, ensure};

use crate::{command, families::Host, process};

/// What a program prints on a node.
pub fn list(host: Host, program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = process::on(host, "system", program)?;
    command::output(command.args(arguments)).with_context(|| host.name())
}

/// Every chain that is not built in, every rule, and kube-proxy's tables, a line each.
pub fn rules(host: Host) -> Result<Vec<String>> {
    let mut text = list(host, "iptables-save", &[])? + &list(host, "ip6tables-save", &[])?;
    text += &list(host, "nft", &["list", "tables"])?;
    let is_made = |line: &&str| {
        let is_chain = line.starts_with(':') && line.split(' ').nth(1) == Some("-");
        is_chain || line.starts_with("-A ") || line.ends_with(" kube-proxy")
    };
    let without_counters = |line: &str| line.split(" [").next().unwrap_or(line).to_owned();
    Ok(text.lines().filter(is_made).map(without_counters).collect())
}

/// An error until kube-proxy's rules have a node port. `/healthz` does not tell: that port is still Waggle's.
pub fn has_node_port(host: Host, mode: &str, port: &str) -> Result<()> {
    let (text, wanted) = match mode {
        "iptables" => (rules(host)?.join("\n"), format!("--dport {port} ")),
        _ => (list(host, "nft", &["list", "ruleset"])?, format!("tcp . {port} ")),
    };
    ensure!(text.contains(&wanted), "{} has no rule for {port}", host.name());
    Ok(())
}
