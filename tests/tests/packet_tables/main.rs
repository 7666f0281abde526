//! The packet programs by tables: packets in, verdicts, packets out and counters, through BPF_PROG_TEST_RUN on exactly
//! the programs that the agent attaches. Needs root. `WAGGLE_ROW=NAME` runs only the rows whose name contains NAME.
//! Rows are named after rules of docs/semantics.md.

#![expect(clippy::too_many_lines, reason = "a table is one expression, a row a few lines of it")]

mod affinity;
mod ages;
mod associations;
mod buckets;
mod bystanders;
mod checksums;
mod choice;
mod connections;
mod damaged;
mod datagrams;
mod echo;
mod errors;
mod exhaustion;
mod foreign;
mod fragments;
mod frontends;
mod headers;
mod hops;
mod ids;
mod jumbo;
mod lifetimes;
mod limits;
mod malformed;
mod model;
mod node_ports;
mod own_sctp;
mod own_traffic;
mod pods;
mod policies;
mod refusals;
mod replies;
mod shared_ports;
mod source_ports;
mod successions;
mod uplinks;

use harness::{
    packet::{End, Packet, tcp, tcp_flags, udp},
    test_run::{Service, Step, egress, ingress, places::*, service, shared},
};
use proxy_common::{Counter, Protocol};

/// Counters of the first packet of a flow to another node.
const OPENED: [Counter; 2] = [Counter::FlowOpened, Counter::PacketForwarded];
/// Counters of the first packet of a flow to another node, when the client's port is not kept.
const OPENED_CHANGED: [Counter; 3] = [Counter::FlowOpened, Counter::SnatPortChanged, Counter::PacketForwarded];
/// Counters of the first packet of a flow to this node.
const OPENED_HERE: [Counter; 2] = [Counter::FlowOpened, Counter::PacketTranslated];

/// A client's end whose port source translation may keep: outside of the kernel's range of ephemeral ports.
const FROM: End = CLIENT.at(20_001);
/// The node port of `web`.
const NODE_PORT: End = NODE.at(30_080);
/// The backend on another node.
const BACKEND: End = REMOTE.at(8080);
/// The backend on this node.
const HERE: End = POD.at(8080);
/// The source of FROM's packets after source translation.
const SNAT: End = NODE.at(20_001);

/// A Service with every kind of frontend, without backends.
fn bare() -> Service {
    service("web").cluster_ip(CLUSTER_IP).node_port(NODE_PORT.port).external_ip(EXTERNAL).load_balancer(BALANCER)
}

/// The Service of [`bare`] with a backend on another node.
fn web() -> Service {
    bare().remote(BACKEND)
}

/// The Service of [`bare`] with a backend on this node.
fn web_here() -> Service {
    bare().local(HERE)
}

/// A UDP Service with its backend on another node.
fn dns() -> Service {
    web().protocol(Protocol::Udp)
}

/// A UDP Service with its backend on this node.
fn dns_here() -> Service {
    web_here().protocol(Protocol::Udp)
}

/// The handshake of FROM with `web` through its node port.
fn handshake() -> [Step; 3] {
    [ingress(tcp(FROM, NODE_PORT).syn()), ingress(tcp(BACKEND, SNAT).syn_ack()), ingress(tcp(FROM, NODE_PORT).ack())]
}

/// The handshake of FROM with `web_here` through its node port.
fn handshake_here() -> [Step; 3] {
    [ingress(tcp(FROM, NODE_PORT).syn()), egress(tcp(HERE, FROM).syn_ack()), ingress(tcp(FROM, NODE_PORT).ack())]
}

/// A datagram of FROM to `dns`, and its reply.
fn exchange() -> [Step; 2] {
    [ingress(udp(FROM, NODE_PORT)), ingress(udp(BACKEND, SNAT))]
}

/// The reset for a refused packet, as RFC 9293 §3.10.7.1 wants it.
fn reset(from: End, sequence: u32, acknowledgement: u32, flags: u8) -> Packet {
    tcp(from, FROM).flags(flags).sequence(sequence, acknowledgement).window(0).identification(0)
}
