//! Which events are wanted, as the programs check it. Pure.

use ipnet::IpNet;
use proxy_common::{Address, EventKind, Monitor, Protocol};

use crate::{commands::cli::MonitorArgs, desired::ServiceName};

/// Returns the value of MONITOR for a command line. It has not begun: its end is 0.
pub fn monitor(args: &MonitorArgs, process: u32) -> Monitor {
    let (client, client_mask) = args.client.map(bits).unwrap_or_default();
    Monitor {
        kinds: kinds(args).into_iter().map(EventKind::bit).fold(0, |kinds, bit| kinds | bit),
        reasons: args.reason.iter().fold(0, |reasons, counter| reasons | 1 << *counter as u32),
        sample: args.sample,
        client,
        client_mask,
        port: args.port.unwrap_or(0),
        protocol: args.protocol.map_or(0, |protocol| Protocol::from(protocol) as u8),
        by_service: ServiceFilter::new(args).is_some().into(),
        process,
        ..Monitor::default()
    }
}

/// Returns the wanted kinds. A reason is that of a refusal, so by itself it asks for refusals only.
fn kinds(args: &MonitorArgs) -> Vec<EventKind> {
    match (args.r#type.as_slice(), args.reason.as_slice()) {
        ([], []) => EventKind::ALL.into(),
        ([], _) => vec![EventKind::Reject, EventKind::Drop],
        (types, _) => types.iter().map(|kind| (*kind).into()).collect(),
    }
}

/// Returns a prefix and its mask. Those of IPv4 are IPv4-mapped.
fn bits(prefix: IpNet) -> (Address, Address) {
    let offset = if prefix.addr().is_ipv4() { 96 } else { 0 };
    let length = offset + u32::from(prefix.prefix_len());
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    (prefix.network().into(), Address { bytes: mask.to_be_bytes() })
}

/// The Services whose events are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFilter {
    namespace: Option<String>,
    /// The namespace of each, if it is given, and its name. Every Service if there are none.
    named: Vec<(Option<String>, String)>,
}

impl ServiceFilter {
    /// Returns the filter of a command line; `None` if it wants the events of every Service, and those of none.
    pub fn new(args: &MonitorArgs) -> Option<Self> {
        let is_asked = args.namespace.is_some() || !args.services.is_empty();
        let named = args.services.iter().map(|text| named(text)).collect();
        is_asked.then(|| Self { namespace: args.namespace.clone(), named })
    }

    /// Whether the events of a Service are wanted.
    pub fn wants(&self, service: &ServiceName) -> bool {
        let is_meant = |asked| self.means(asked, service);
        (self.named.is_empty() && self.is_in_namespace(service)) || self.named.iter().any(is_meant)
    }

    /// Returns the first Service that is asked for by its name and not among `found`, as the command line has it.
    pub fn missing(&self, found: &[ServiceName]) -> Option<String> {
        let is_missing = |asked: &&(Option<String>, String)| !found.iter().any(|service| self.means(asked, service));
        let (namespace, name) = self.named.iter().find(is_missing)?;
        let namespace = namespace.as_ref().or(self.namespace.as_ref());
        Some(namespace.map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}")))
    }

    fn means(&self, (namespace, name): &(Option<String>, String), service: &ServiceName) -> bool {
        let is_in = match namespace {
            Some(namespace) => **namespace == *service.namespace,
            None => self.is_in_namespace(service),
        };
        is_in && **name == *service.name
    }

    fn is_in_namespace(&self, service: &ServiceName) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| **namespace == *service.namespace)
    }
}

/// Reads NAME, svc/NAME or NAMESPACE/NAME.
fn named(text: &str) -> (Option<String>, String) {
    match text.split_once('/') {
        Some(("svc" | "service" | "services", name)) => (None, name.to_owned()),
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use proxy_common::Counter;

    use super::*;
    use crate::commands::cli::{Cli, Command};

    fn args(line: &str) -> MonitorArgs {
        match Cli::parse_from(["waggle", "monitor"].into_iter().chain(line.split_whitespace())).command {
            Command::Monitor(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn of(line: &str) -> Monitor {
        monitor(&args(line), 7)
    }

    #[test]
    fn without_flags_everything_is_wanted() {
        assert_eq!(of(""), Monitor { kinds: 0b11111, sample: 1, process: 7, ..Monitor::default() });
    }

    #[test]
    fn each_flag_narrows_what_is_wanted() {
        assert_eq!(of("--type new,drop").kinds, EventKind::New.bit() | EventKind::Drop.bit());
        let refusals = of("--reason no_route");
        assert_eq!(refusals.reasons, 1 << Counter::DropNoRoute as u32);
        assert_eq!(refusals.kinds, EventKind::Reject.bit() | EventKind::Drop.bit());
        assert_eq!(of("--reason no_route --type drop").kinds, EventKind::Drop.bit());
        assert_eq!((of("--protocol udp").protocol, of("--port 53").port, of("--sample 9").sample), (17, 53, 9));
        assert_eq!([of("web").by_service, of("-n shop").by_service, of("-A").by_service], [1, 1, 0]);
    }

    #[test]
    fn a_prefix_and_its_mask_are_addresses() {
        let contains = |prefix: &str, address: [u8; 4]| {
            let Monitor { client, client_mask, .. } = of(&format!("--client {prefix}"));
            Monitor::is_in(&address.into(), &client, &client_mask)
        };
        assert!(contains("192.0.2.0/24", [192, 0, 2, 9]) && !contains("192.0.2.0/24", [192, 0, 3, 9]));
        assert!(contains("192.0.2.9", [192, 0, 2, 9]) && !contains("192.0.2.9", [192, 0, 2, 8]));
        assert!(contains("0.0.0.0/0", [198, 51, 100, 1]) && contains("::/0", [198, 51, 100, 1]));
        assert!(!contains("fd00::/8", [192, 0, 2, 9]));
    }

    #[test]
    fn services_are_meant_by_their_names() {
        let service = |namespace: &str, name: &str| ServiceName::new(namespace, name);
        let wants = |line: &str, namespace: &str, name: &str| {
            ServiceFilter::new(&args(line)).unwrap().wants(&service(namespace, name))
        };
        for line in ["web", "svc/web", "service/web", "shop/web", "web -n shop", "db web"] {
            assert!(wants(line, "shop", "web") && !wants(line, "shop", "api"), "{line}");
        }
        assert!(
            wants("web", "other", "web") && !wants("shop/web", "other", "web") && !wants("web -n shop", "other", "web")
        );
        assert!(wants("-n shop", "shop", "any") && !wants("-n shop", "other", "any"));
        let found = [service("shop", "web")];
        let missing = |line: &str| ServiceFilter::new(&args(line)).unwrap().missing(&found);
        assert_eq!([missing("web"), missing("-n other")], [None, None]);
        assert_eq!(missing("web db").as_deref(), Some("db"));
        assert_eq!(missing("web -n other").as_deref(), Some("other/web"));
    }
}
