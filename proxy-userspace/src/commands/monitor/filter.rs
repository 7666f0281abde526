//! Which events are wanted, as the programs check it. Pure.

use ipnet::IpNet;
use proxy_common::{Address, EventKind, Monitor, Protocol};

use crate::commands::{
    cli::MonitorArgs,
    service_filter::{OtherNamespace, ServiceFilter},
};

/// Returns the value of MONITOR for a command line, which asks for the events of some Services if `by_service`. It has not begun:
/// its end is 0.
pub fn monitor(args: &MonitorArgs, by_service: bool, process: u32) -> Monitor {
    let (client, client_mask) = args.client.map(bits).unwrap_or_default();
    Monitor {
        kinds: kinds(args).into_iter().map(EventKind::bit).fold(0, |kinds, bit| kinds | bit),
        reasons: args.reason.iter().fold(0, |reasons, counter| reasons | 1 << *counter as u32),
        sample: args.sample,
        client,
        client_mask,
        port: args.port.unwrap_or(0),
        protocol: args.protocol.map_or(0, |protocol| Protocol::from(protocol) as u8),
        by_service: by_service.into(),
        process,
        ..Monitor::default()
    }
}

/// Returns the Services whose events are wanted; `None` if all events are, also those of no Service.
pub fn services(args: &MonitorArgs) -> Result<Option<ServiceFilter>, OtherNamespace> {
    ServiceFilter::new(&args.services, args.namespace.as_deref())
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
        let args = args(line);
        monitor(&args, services(&args).unwrap().is_some(), 7)
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
}
