//! A Service with an SCTP port. Its backends have sockets, where the kernel has SCTP, or their packets are made by hand.

use std::net::SocketAddr;

use serde_json::Value;

use super::{BOUND_PORT, Family, NODE_PORT, Outside, Setup, from_outside, from_outside_by, over_both, send_raw, until};
use crate::{
    lab::{Pod, Server},
    objects::{ServiceBuilder, service, slice},
    packet::association::{chunk, from_backend, from_client, init, init_ack},
};

/// The port where backends listen. It differs from the Service's, so ports are rewritten.
pub const SCTP_BACKEND_PORT: u16 = 9999;

/// What keeps a kernel with SCTP from answering packets that are made by hand, and one without from refusing them.
const DROP_SCTP: &str =
    "table inet drop-sctp { chain input { type filter hook input priority 0; meta l4proto sctp drop; }; }";

/// Timeouts of associations, longer than any scenario.
const TIMEOUTS: [&str; 4] = [
    "--conntrack-sctp-timeout-closed=600",
    "--conntrack-sctp-timeout-cookie-wait=600",
    "--conntrack-sctp-timeout-shutdown-sent=600",
    "--conntrack-sctp-timeout-shutdown-ack-sent=600",
];

/// A Service `web` with the SCTP port 80, which is also a node port.
pub fn sctp_web(family: Family) -> ServiceBuilder {
    let built = service("web").kind("NodePort").cluster_ip(&family.cluster_ip(1).to_string());
    built.named_port("sctp", "SCTP", 80, SCTP_BACKEND_PORT).node_port(NODE_PORT)
}

/// The end of a backend of [`sctp_web`].
pub fn sctp_end(family: Family, pod: &Pod) -> SocketAddr {
    SocketAddr::new(family.of(pod), SCTP_BACKEND_PORT)
}

impl Outside {
    /// Puts the Service of [`sctp_web`], with these backends.
    pub fn serve_sctp(&self, family: Family, backends: &[&Pod]) {
        let kind = format!("IPv{}", family.number());
        let slice = slice("web").address_type(&kind).named_port("sctp", "SCTP", SCTP_BACKEND_PORT);
        self.scene.put(&backends.iter().fold(slice, |slice, pod| slice.pod(pod)).build());
        self.scene.put(&sctp_web(family).build());
    }

    /// The backends of `web` that are in force.
    fn served(&self) -> Vec<String> {
        let rows = self.scene.get("endpoints");
        let rows = rows.as_array().into_iter().flatten();
        rows.filter_map(|row| row["endpoint"].as_str().map(str::to_owned)).collect()
    }
}

/// Runs `scenario` over both families, with a pod on this node and one on the other that serve SCTP. The kernel must have SCTP.
pub fn with_sctp_servers(name: &str, scenario: impl Fn(&Outside, Family)) {
    from_outside_by("auto", name, |outside| {
        let pods = [outside.scene.pod(1), &outside.remote];
        let _servers: Vec<Server> = pods.map(|pod| pod.serve_sctp(SCTP_BACKEND_PORT).expect("serve SCTP")).into();
        over_both(|family| {
            scenario(outside, family);
            outside.scene.delete("Service", "web");
        });
    });
}

/// An association of the client outside with one backend of `web`, by its node port. Each packet is made by hand.
#[derive(Debug)]
pub struct Association<'a> {
    /// The scene.
    pub outside: &'a Outside,
    /// The family.
    pub family: Family,
    /// The only backend of `web` at first.
    pub backend: &'a Pod,
    /// The client's end.
    pub client: SocketAddr,
    /// What the client dials.
    pub frontend: SocketAddr,
}

/// Runs `scenario` by TC and by native XDP, over both families, for a backend on this node and for one on the other. The kernel
/// needs no SCTP.
pub fn with_associations(name: &str, scenario: impl Fn(&Association<'_>)) {
    from_outside(Setup::new(name).args(TIMEOUTS), |outside| {
        let pods = [outside.scene.pod(1), &outside.remote];
        for netns in [outside.host.netns(), pods[0].netns(), pods[1].netns()] {
            netns.load_rules(DROP_SCTP).expect("drop SCTP before the kernel's own");
        }
        over_both(|family| {
            for (port, backend) in (BOUND_PORT..).zip(pods) {
                outside.serve_sctp(family, &[backend]);
                until("the backend", || outside.served() == [sctp_end(family, backend).to_string()]);
                let client = SocketAddr::new(outside.address(family), port);
                scenario(&Association { outside, family, backend, client, frontend: outside.node_port(family) });
            }
            outside.scene.delete("Service", "web");
        });
    });
}

impl Association<'_> {
    /// The client's packet with a chunk of this type. Waits until the association is in this state.
    pub fn client_sends(&self, kind: u8, state: &str) {
        let packet = if kind == chunk::INIT {
            init(self.client, self.frontend)
        } else {
            from_client(self.client, self.frontend, kind)
        };
        send_raw(self.outside.host.netns(), self.family, &packet);
        self.wait_for_state(state);
    }

    /// The backend's packet with a chunk of this type, which it sends to the address that it sees as its client. Waits until the
    /// association is in this state.
    pub fn backend_sends(&self, kind: u8, state: &str) {
        let flow = self.flow().expect("the association is known");
        let to: SocketAddr =
            flow["source"].as_str().and_then(|source| source.parse().ok()).expect("an address and port");
        let from = sctp_end(self.family, self.backend);
        let packet = if kind == chunk::INIT_ACK { init_ack(from, to) } else { from_backend(from, to, kind) };
        send_raw(self.backend.netns(), self.family, &packet);
        self.wait_for_state(state);
    }

    /// Both sides open it.
    pub fn open(&self) {
        self.client_sends(chunk::INIT, "new");
        self.backend_sends(chunk::INIT_ACK, "replied");
        self.client_sends(chunk::COOKIE_ECHO, "established");
        self.backend_sends(chunk::COOKIE_ACK, "established");
    }

    /// The client closes it, and the backend agrees.
    pub fn close(&self) {
        self.client_sends(chunk::SHUTDOWN, "client_closed");
        self.backend_sends(chunk::SHUTDOWN_ACK, "closed");
        self.client_sends(chunk::SHUTDOWN_COMPLETE, "reset");
    }

    fn wait_for_state(&self, state: &str) {
        until(state, || self.flow().is_some_and(|flow| flow["state"] == state));
    }

    /// The row of `waggle get flows`.
    fn flow(&self) -> Option<Value> {
        let (client, backend) = (self.client.to_string(), sctp_end(self.family, self.backend).to_string());
        let rows = self.outside.scene.get("flows");
        let is_own = |row: &&Value| row["client"] == client && row["backend"] == backend && row["protocol"] == "SCTP";
        rows.as_array().into_iter().flatten().find(is_own).cloned()
    }
}
