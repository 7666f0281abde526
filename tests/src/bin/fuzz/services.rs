//! Random Services over a small set of addresses, so that packets meet them often.

use fastrand::Rng;
use harness::{
    packet::{End, Place},
    test_run::{
        Service,
        places::{
            BALANCER, CLUSTER_IP, CLUSTER_IP_OTHER, EXTERNAL, FAR, LOST, NARROW, NODE, POD, POD_OTHER, REMOTE,
            REMOTE_OTHER, SILENT,
        },
        service,
    },
};
use proxy_common::Protocol;

/// Addresses of backends on other nodes.
pub const REMOTES: [Place; 6] = [REMOTE, REMOTE_OTHER, FAR, NARROW, SILENT, LOST];
/// Addresses of backends on this node.
pub const LOCALS: [Place; 3] = [POD, POD_OTHER, NODE];
/// Ports of Services.
pub const PORTS: [u16; 4] = [53, 80, 443, 8080];
/// Ports of backends.
pub const BACKEND_PORTS: [u16; 3] = [53, 80, 8080];
/// Node ports.
pub const NODE_PORTS: [u16; 6] = [30_000, 30_053, 30_080, 30_443, 31_000, 32_700];

/// One Service for each cluster IP, node port and protocol, each with random backends and policies.
pub fn random(random: &mut Rng) -> Vec<Service> {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    let mut services = Vec::new();
    for (index, (name, node_port)) in NAMES.into_iter().zip(NODE_PORTS).enumerate() {
        let protocol = protocols[index % 3];
        let mut one = service(name).protocol(protocol).port(PORTS[random.usize(..PORTS.len())]);
        // Two Services never have the same frontend: each half has its own addresses, each third its own protocol.
        let (cluster_ip, external) = if index < 3 { (CLUSTER_IP, EXTERNAL) } else { (CLUSTER_IP_OTHER, BALANCER) };
        one = one.cluster_ip(cluster_ip).node_port(node_port);
        one = if random.bool() { one.external_ip(external) } else { one.load_balancer(external) };
        one = with_backends(random, one);
        services.push(with_policies(random, one));
    }
    services
}

fn with_backends(random: &mut Rng, mut service: Service) -> Service {
    let mut taken: Vec<End> = Vec::new();
    for _ in 0..random.usize(..5) {
        let local = random.bool();
        let places = if local { &LOCALS[..] } else { &REMOTES[..] };
        let backend = places[random.usize(..places.len())].at(BACKEND_PORTS[random.usize(..BACKEND_PORTS.len())]);
        if !taken.contains(&backend) {
            taken.push(backend);
            service = if local { service.local(backend) } else { service.remote(backend) };
        }
    }
    service
}

fn with_policies(random: &mut Rng, mut service: Service) -> Service {
    if random.u8(..4) == 0 {
        service = service.external_local();
    }
    if random.u8(..4) == 0 {
        service = service.internal_local();
    }
    if random.u8(..4) == 0 {
        service = service.affinity(600);
    }
    if random.u8(..4) == 0 {
        service = service.ranges(&["198.51.100.0/28", "2001:db8:51::/124"]);
    }
    service
}
