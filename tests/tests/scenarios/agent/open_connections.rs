//! `waggle explain` about a client's port that has a TCP connection: its packets stay with their backend, a SYN stays in an open
//! connection and begins another one after its end, and the connection notices nothing of the question.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::net::SocketAddr;

use harness::{
    lab::{Pod, Socket},
    packet::tcp,
    scene::{Family, Outside, Setup, expect, from_outside_over_both, send_raw, until},
};
use serde_json::{Value, json};

use super::{
    explain::{backend, candidates, explain},
    trial::{did, translated},
};

/// A connection of the client outside to the node port, and the backend that has it.
struct Connection<'a> {
    outside: &'a Outside,
    family: Family,
    pod: &'a Pod,
    socket: Socket<'a>,
    client: SocketAddr,
}

impl<'a> Connection<'a> {
    fn open(outside: &'a Outside, family: Family, pod: &'a Pod) -> Self {
        outside.serve(family, &outside.web(family), &[pod]);
        expect(&outside.client, outside.node_port(family), &[pod.name()]);
        let socket = outside.client.connect_tcp(outside.node_port(family)).unwrap();
        let client = socket.names().unwrap().local;
        Self { outside, family, pod, socket, client }
    }

    fn explain(&self) -> Value {
        let explanation =
            explain(&self.outside.scene, &format!("{} {}", self.client, self.outside.node_port(self.family)));
        assert_eq!(did(&explanation), ["served", ""], "{explanation:#}");
        explanation
    }

    /// The explanation, without a run of the programs.
    fn steps(&self) -> Value {
        let question = format!("{} {} --no-run", self.client, self.outside.node_port(self.family));
        explain(&self.outside.scene, &question)
    }

    /// What the explanation says of the flow is what the backend sees of the connection, which goes on.
    fn goes_on(&self, explanation: &Value) {
        let flow = &explanation["flow"];
        assert_eq!((&flow["state"], &flow["backend"]), (&json!("established"), &json!(backend(self.family, self.pod))));
        let answer = self.socket.ask("who").unwrap();
        assert_eq!(answer.backend(), self.pod.name());
        assert_eq!(flow["source"], answer.seen_client().unwrap().to_string(), "{explanation:#}");
    }

    /// Makes `other` the only backend of new connections.
    fn replace_backend(&self, other: &Pod) {
        self.outside.serve_by(self.family, &[other]);
        let others = [backend(self.family, other)].into();
        until("the other backend", || candidates(&self.steps()) == others);
    }
}

/// Runs `scenario` with a connection to a backend on this node and with one to the other node's, and with the other backend.
fn with_connections(name: &str, scenario: impl Fn(Connection<'_>, &Pod)) {
    let setup = Setup::new(name).args(["--conntrack-tcp-timeout-close=600"]);
    from_outside_over_both(setup, |outside, family| {
        let (near, far) = (outside.scene.pod(1), &outside.remote);
        for (pod, other) in [(near, far), (far, near)] {
            scenario(Connection::open(outside, family, pod), other);
        }
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s29_a_syn_stays_in_an_open_connection_which_notices_nothing() {
    with_connections("xpl-open", |connection, other| {
        let explanation = connection.explain();
        connection.goes_on(&explanation);
        assert_eq!(explanation["programs"]["packet"]["kind"], "SYN");
        let [source, destination] = translated(&explanation);
        assert_eq!(explanation["flow"]["source"], source.to_string(), "{explanation:#}");
        assert_eq!(destination.to_string(), backend(connection.family, connection.pod));
        // A SYN on the wire, which the backend answers by a challenge (RFC 5961), takes the same way.
        let outside = connection.outside;
        let syn = tcp(connection.client, outside.node_port(connection.family)).syn();
        send_raw(outside.host.netns(), connection.family, &syn);
        connection.goes_on(&connection.steps());
        connection.replace_backend(other);
        connection.goes_on(&connection.explain());
    });
}

#[test]
fn s29_a_syn_begins_another_connection_after_the_end_of_one() {
    with_connections("xpl-ended", |connection, other| {
        connection.replace_backend(other);
        connection.goes_on(&connection.steps());
        connection.socket.disconnect().unwrap();
        until("the reset", || connection.steps()["flow"]["state"] == "reset");
        let explanation = connection.explain();
        assert_eq!(translated(&explanation)[1].to_string(), backend(connection.family, other), "{explanation:#}");
    });
    with_connections("xpl-closed", |connection, other| {
        connection.socket.ask("who").unwrap();
        connection.replace_backend(other);
        let question = format!("{} {}", connection.client, connection.outside.node_port(connection.family));
        let Connection { outside, family, socket, .. } = connection;
        drop(socket);
        let steps = || explain(&outside.scene, &format!("{question} --no-run"));
        until("the end", || steps()["flow"]["state"] == "closed");
        let explanation = explain(&outside.scene, &question);
        assert_eq!(
            (did(&explanation), translated(&explanation)[1].to_string()),
            (["served", ""], backend(family, other))
        );
    });
}
