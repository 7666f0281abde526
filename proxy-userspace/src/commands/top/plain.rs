//! One frame as plain text, for pipes. Pure.

use super::rates::{Figures, PortRates, Rates, Refusals};
use crate::commands::get::{ServicePort, aligned};

const PORTS: [&str; 8] =
    ["NAMESPACE", "NAME", "PORT", "PROTOCOL", "CONNECTIONS/S", "PACKETS/S", "BYTES/S", "CONNECTIONS"];
const REFUSALS: [&str; 4] = ["VERDICT", "REASON", "REFUSED/S", "COUNT"];

/// Formats the rates of all service ports, those with most new connections first, then what is refused.
pub fn text(figures: &Figures) -> String {
    let mut ports: Vec<&PortRates> = figures.ports.iter().collect();
    let connections = |port: &PortRates| port.rates.map_or(0.0, |rates| rates.connections);
    ports.sort_by(|a, b| connections(b).total_cmp(&connections(a)));
    let ports = aligned(&PORTS, ports.into_iter().map(cells_of_port).collect());
    let refusals = aligned(&REFUSALS, figures.refusals.iter().map(cells_of_refusals).collect());
    format!("{}\n\n{ports}\n{refusals}", summary(figures))
}

fn summary(figures: &Figures) -> String {
    let Rates { connections, packets, bytes } = figures.total;
    format!(
        "within {:.1} s, per second: {connections:.1} connections, {packets:.1} packets, {bytes:.0} bytes, {:.1} refused",
        figures.elapsed.as_secs_f64(),
        figures.refused
    )
}

fn cells_of_port(port: &PortRates) -> Vec<String> {
    let ServicePort { namespace, name, port: port_name, protocol } = &port.port;
    let rate = |of: fn(&Rates) -> f64, digits| number(port.rates.as_ref().map(of), digits);
    vec![
        namespace.clone(),
        name.clone(),
        if port_name.is_empty() { "-".to_owned() } else { port_name.clone() },
        protocol.clone(),
        rate(|rates| rates.connections, 1),
        rate(|rates| rates.packets, 1),
        rate(|rates| rates.bytes, 0),
        port.connections.to_string(),
    ]
}

fn cells_of_refusals(refusals: &Refusals) -> Vec<String> {
    let reason = &refusals.reason;
    let rate = number(refusals.rate, 1);
    vec![reason.verdict.to_owned(), reason.reason.to_owned(), rate, reason.count.to_string()]
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}
