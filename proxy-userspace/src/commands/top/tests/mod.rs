//! Tests of the pure parts, over samples of two Services.

mod backends;
mod chosen;
mod draw;
mod frame;
mod plain;
mod rates;
mod state;
mod terminal;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use proxy_common::{Address, Backend, Counter, Frontend, FrontendKind, Protocol, Service, ServiceCounters, SlotRange};

use super::{chosen::Chosen, rates::Figures, sample::Sample};
use crate::{
    commands::get::{ServicePort, Snapshot},
    desired::{Family, PortId, PortKey, ServiceName},
    maps::encode,
};

/// The service ids of `default/web:http` over IPv4 and IPv6, and of `shop/cart`.
const WEB: u32 = 1;
const WEB_IPV6: u32 = 2;
const CART: u32 = 3;

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn port(namespace: &str, name: &str, port: &str) -> ServicePort {
    let [namespace, name, port, protocol] = [namespace, name, port, "TCP"].map(str::to_owned);
    ServicePort { namespace, name, port, protocol }
}

fn web() -> ServicePort {
    port("default", "web", "http")
}

fn cart() -> ServicePort {
    port("shop", "cart", "")
}

fn counted(connections: u64, packets: u64, bytes: u64) -> ServiceCounters {
    ServiceCounters { connections, packets, bytes }
}

fn cluster_ip(id: u32, internal: (u32, u32), external: (u32, u32)) -> Service {
    let range = |(offset, length)| SlotRange { offset, length };
    Service {
        id,
        kind: FrontendKind::ClusterIp as u8,
        flags: Service::USABLE | Service::EXTERNAL_LOCAL,
        internal: range(internal),
        external: range(external),
        ..Service::default()
    }
}

/// Two Services, of which nothing is counted yet. `web` has two backends, one of them on this node; `cart` has none.
fn snapshot() -> Snapshot {
    let frontend = |text: &str| Frontend::new(address(text), 80, Protocol::Tcp as u8);
    let named = |namespace: &str, service: &str, port: &str, family| {
        let port = PortKey { name: port.into(), protocol: Protocol::Tcp, family };
        encode::name(&PortId { service: ServiceName::new(namespace, service), port })
    };
    let backend = |last: u8, flags| Backend {
        address: address(&format!("10.1.0.{last}")),
        port: 8080,
        flags: Backend::VALID | flags,
        generation: 1,
    };
    Snapshot {
        services: [
            (frontend("10.96.0.10"), cluster_ip(WEB, (0, 2), (2, 1))),
            (frontend("fd00:96::10"), cluster_ip(WEB_IPV6, (3, 0), (3, 0))),
            (frontend("10.96.0.11"), cluster_ip(CART, (3, 0), (3, 0))),
            (Frontend::owner(address("10.96.0.10")), Service::default()),
        ]
        .into(),
        names: [
            (WEB, named("default", "web", "http", Family::Ipv4)),
            (WEB_IPV6, named("default", "web", "http", Family::Ipv6)),
            (CART, named("shop", "cart", "", Family::Ipv4)),
        ]
        .into(),
        slots: [(0, 1), (1, 2), (2, 2)].into(),
        backends: [(1, backend(1, 0)), (2, backend(2, Backend::LOCAL))].into(),
        ..Snapshot::default()
    }
}

/// A sample that is read `seconds` after `start`.
fn sample(start: Instant, seconds: u64, counts: &[(u32, ServiceCounters)], counters: &[(Counter, u64)]) -> Sample {
    let snapshot = Snapshot { counted: counts.iter().copied().collect(), ..snapshot() };
    let counters = counters.iter().copied().collect::<BTreeMap<_, _>>();
    Sample { at: start + Duration::from_secs(seconds), snapshot, counters, tracked: None }
}

/// Two samples, between which both Services have been dialled and something was refused for two seconds.
pub(in crate::commands) fn samples() -> [Sample; 2] {
    let start = Instant::now();
    let counts = [(WEB, counted(10, 0, 0)), (WEB_IPV6, counted(5, 0, 0)), (CART, counted(7, 100, 5000))];
    let before = sample(start, 0, &counts, &[(Counter::RejectNoBackend, 3), (Counter::DropNoRoute, 9)]);
    let counts = [(WEB, counted(30, 0, 0)), (WEB_IPV6, counted(9, 0, 0)), (CART, counted(8, 400, 25_000))];
    let now = sample(start, 2, &counts, &[(Counter::RejectNoBackend, 5), (Counter::DropNoRoute, 9)]);
    [before, now]
}

/// Compares samples for every Service.
fn compare(before: &Sample, now: &Sample) -> Figures {
    Figures::compare(before, now, &Chosen::default())
}

/// What these samples say.
fn figures() -> Figures {
    let [before, now] = samples();
    compare(&before, &now)
}
