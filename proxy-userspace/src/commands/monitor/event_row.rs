//! An event as it is shown. Pure.

use std::net::SocketAddr;

use proxy_common::{Address, Counter, Event, EventHook, EventKind, State};
use serde::Serialize;

use crate::{
    commands::get::{Name, Row, service_port::protocol},
    server::status::Time,
};

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRow {
    /// When it happened.
    pub time: Time,
    /// What happened: `new`, `end`, `reselect`, `reject` or `drop`.
    pub r#type: &'static str,
    /// The Service's namespace; `None` if no Service is known.
    pub namespace: Option<String>,
    /// The Service's name.
    pub name: Option<String>,
    /// The port's name; empty for an unnamed port.
    pub port: Option<String>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The client's address and port; without a port for a socket that has none yet. `None` if it is not known.
    pub client: Option<String>,
    /// What the client has dialled; of a refused packet, its destination.
    pub frontend: String,
    /// The backend's address and port; `None` for refusals.
    pub backend: Option<String>,
    /// Why it was refused, as in the metrics; how a flow of packets has ended: `closed` or `reset`.
    pub reason: Option<&'static str>,
    /// Where it was seen: `socket`, `xdp` or `tc`.
    pub hook: &'static str,
    /// The device of a packet.
    pub device: Option<String>,
    /// The id of the calling process, on the node.
    pub process: Option<u32>,
    /// The name of the calling thread.
    pub command: Option<String>,
    /// The cookie of the network namespace of a call.
    pub netns: Option<u64>,
}

impl EventRow {
    /// Returns an event as it is shown. `time` is the event's wall-clock time.
    pub fn new(event: &Event, time: Time, service: Option<Name>, device: Option<String>) -> Self {
        let kind = EventKind::from_number(event.kind);
        let is_call = event.hook == EventHook::Socket as u8;
        let (namespace, name, port) = match service {
            Some(Name { namespace, service, port }) => (Some(namespace), Some(service), Some(port)),
            None => (None, None, None),
        };
        Self {
            time,
            r#type: kind.map_or("?", EventKind::name),
            namespace,
            name,
            port,
            protocol: protocol(event.protocol),
            client: client(event),
            frontend: at(event.frontend, event.frontend_port),
            backend: (event.backend_port != 0).then(|| at(event.backend, event.backend_port)),
            reason: kind.and_then(|kind| reason(kind, event.reason)),
            hook: EventHook::from_number(event.hook).map_or("?", EventHook::name),
            device,
            process: is_call.then_some(event.process),
            command: is_call.then(|| command(&event.command)),
            netns: is_call.then_some(event.netns),
        }
    }

    /// Returns the client's address, or the process that calls.
    fn who(&self) -> String {
        match (&self.client, &self.command, self.process) {
            (Some(client), ..) => client.clone(),
            (None, Some(command), Some(process)) => format!("{command}[{process}]"),
            (None, ..) => "-".to_owned(),
        }
    }

    fn service(&self) -> String {
        match (&self.namespace, &self.name, self.port.as_deref()) {
            (Some(namespace), Some(name), None | Some("")) => format!("{namespace}/{name}"),
            (Some(namespace), Some(name), Some(port)) => format!("{namespace}/{name}:{port}"),
            _ => "-".to_owned(),
        }
    }
}

fn at(address: Address, port: u16) -> String {
    SocketAddr::new(address.into(), port).to_string()
}

/// A socket that is not bound has the unspecified address, which tells nothing.
fn client(event: &Event) -> Option<String> {
    let Event { client, client_port, .. } = *event;
    if client == client.any() {
        None
    } else if client_port == 0 {
        Some(std::net::IpAddr::from(client).to_string())
    } else {
        Some(at(client, client_port))
    }
}

fn reason(kind: EventKind, number: u8) -> Option<&'static str> {
    match kind {
        EventKind::Reject | EventKind::Drop => Counter::ALL.get(usize::from(number)).map(|counter| counter.label().1),
        EventKind::End if number != 0 => Some(State::from_number(number).label()),
        EventKind::End | EventKind::New | EventKind::Reselect => None,
    }
}

/// Returns the name of a thread, which the kernel ends by a zero. It may have any bytes.
fn command(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

impl Row for EventRow {
    type Key = String;

    const KIND: &'static str = "events";
    const WIDE: &'static [&'static str] = &["HOOK  ", "DEVICE", "PROCESS", "COMMAND        ", "NETNS"];
    const NUMBERS: &'static [&'static str] = &["process", "netns"];

    /// The titles come before the first event, as wide as most events will need.
    fn titles() -> Vec<&'static str> {
        vec![
            "TIME        ",
            "EVENT   ",
            "PROTOCOL",
            "CLIENT              ",
            "FRONTEND          ",
            "BACKEND        ",
            "SERVICE        ",
            "REASON       ",
        ]
    }

    fn fields() -> Vec<&'static str> {
        vec![
            "time",
            "type",
            "namespace",
            "name",
            "port",
            "protocol",
            "client",
            "frontend",
            "backend",
            "reason",
            "hook",
            "device",
            "process",
            "command",
            "netns",
        ]
    }

    fn key(&self) -> Self::Key {
        String::from(self.time)
    }

    /// Cells are as wide as their titles, which `--no-headers` leaves out.
    fn cells(&self) -> Vec<String> {
        vec![
            self.time.0.strftime("%H:%M:%S%.3f").to_string(),
            format!("{:8}", self.r#type),
            self.protocol.clone(),
            format!("{:20}", self.who()),
            format!("{:18}", self.frontend),
            format!("{:15}", or_dash(self.backend.as_ref())),
            format!("{:15}", self.service()),
            format!("{:13}", or_dash(self.reason)),
        ]
    }

    fn wide_cells(&self) -> Vec<String> {
        vec![
            format!("{:6}", self.hook),
            format!("{:6}", or_dash(self.device.as_ref())),
            format!("{:7}", or_dash(self.process)),
            format!("{:15}", or_dash(self.command.as_ref())),
            or_dash(self.netns),
        ]
    }

    fn is_named(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.namespace.as_deref() == Some(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::get::{Look, sample::check_fields, table};

    fn web() -> Name {
        Name { namespace: "shop".to_owned(), service: "web".to_owned(), port: "http".to_owned() }
    }

    fn call() -> Event {
        let mut command = [0; 16];
        command[..4].copy_from_slice(b"curl");
        Event {
            protocol: 6,
            client: Address::ANY_IPV4,
            frontend: [10, 96, 0, 10].into(),
            frontend_port: 80,
            backend: [10, 244, 1, 2].into(),
            backend_port: 8080,
            process: 4711,
            command,
            netns: 9,
            ..Event::default()
        }
    }

    fn packet() -> Event {
        let (client, client_port) = ([192, 0, 2, 9].into(), 40000);
        let hook = EventHook::Xdp as u8;
        Event { hook, client, client_port, device: 2, process: 0, netns: 0, command: [0; 16], ..call() }
    }

    fn row(event: &Event) -> EventRow {
        let time = Time(jiff::Timestamp::from_nanosecond(1_500_000_000).unwrap());
        EventRow::new(event, time, (event.service != 0).then(web), (event.device != 0).then(|| "eth0".to_owned()))
    }

    #[test]
    fn a_call_has_its_process_and_a_packet_its_address() {
        let refused = Event {
            kind: EventKind::Drop as u8,
            reason: Counter::DropNoRoute as u8,
            backend: Address::ANY_IPV6,
            backend_port: 0,
            ..packet()
        };
        let ended = Event { kind: EventKind::End as u8, reason: State::Reset as u8, service: 3, ..packet() };
        let rows = [row(&Event { service: 3, ..call() }), row(&ended), row(&refused)];
        let expected = "\
TIME           EVENT      PROTOCOL   CLIENT                 FRONTEND             BACKEND           SERVICE           \
REASON          HOOK     DEVICE   PROCESS   COMMAND           NETNS
00:00:01.500   new        TCP        curl[4711]             10.96.0.10:80        10.244.1.2:8080   shop/web:http     \
-               socket   -        4711      curl              9
00:00:01.500   end        TCP        192.0.2.9:40000        10.96.0.10:80        10.244.1.2:8080   shop/web:http     \
reset           xdp      eth0     -         -                 -
00:00:01.500   drop       TCP        192.0.2.9:40000        10.96.0.10:80        -                 -                 \
no_route        xdp      eth0     -         -                 -
";
        assert_eq!(table(&rows, Look { is_wide: true, ..Look::default() }), expected);
    }

    #[test]
    fn a_bound_socket_has_an_address_without_a_port() {
        let bound = row(&Event { client: [10, 244, 1, 7].into(), ..call() });
        assert_eq!((bound.client.as_deref(), bound.who().as_str()), (Some("10.244.1.7"), "10.244.1.7"));
        assert_eq!(row(&Event { client: Address::ANY_IPV6, ..call() }).client, None);
    }

    #[test]
    fn names_of_threads_are_printable() {
        assert_eq!(command(b"a\x1b[2Jb\0rest"), "a?[2Jb");
        assert_eq!(command(&[b'x'; 16]), "x".repeat(16), "without an end");
    }

    #[test]
    fn json_has_the_fields_that_are_named() {
        check_fields(&row(&call()));
        let json = serde_json::to_value(row(&Event { service: 3, ..packet() })).unwrap();
        assert_eq!(json["type"], "new");
        assert_eq!(json["time"], "1970-01-01T00:00:01.5Z");
        assert_eq!((&json["name"], &json["client"]), (&"web".into(), &"192.0.2.9:40000".into()));
        assert_eq!((&json["process"], &json["reason"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    }
}
