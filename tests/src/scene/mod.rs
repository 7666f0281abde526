//! The beginning of scenarios: a node, pods, objects in a folder of manifests or in an API server, and the agent. Steps that fail
//! panic, since a scenario can't continue then. It does not know the rules.

#![expect(clippy::missing_panics_doc, reason = "every step panics when it fails, as the page says")]

mod associations;
mod commands;
mod dialling;
mod expect;
mod family;
mod netfilter;
mod outside;
mod part;
mod raw;
mod read;
mod runs;
mod services;
mod setup;
mod sources;

use std::{ffi::OsString, net::SocketAddr};

use serde_json::Value;

pub use self::{
    associations::{Association, SCTP_BACKEND_PORT, sctp_end, sctp_web, with_associations, with_sctp_servers},
    commands::{ip, output},
    expect::{TRANSPORTS, WAIT_LIMIT, expect, expect_by, hold, until},
    family::Family,
    netfilter::remember_datagrams,
    outside::{NODE_PORT, Outside, echo, from_outside, from_outside_by, from_outside_over_both},
    part::Part,
    raw::send_raw,
    read::is_about,
    runs::{from_both, from_both_over_both, over_both},
    services::{BOUND_PORT, PORTS, SERVICE_CIDRS, cluster_ips, dual, slices, web, web_node_port, web_slice},
    setup::Setup,
    sources::{Objects, Origin},
};
use crate::{
    lab::{Capability, Client, Lab, Node, Pod, Server, Waggle, WaggleCommand},
    objects::{ApiCluster, Cluster, ManifestDir, NAMESPACE, SliceBuilder},
};

/// A scene as [`Setup`] makes it. Its fields are dropped in this order.
#[derive(Debug)]
pub struct Scene {
    /// The agent, once it has been started by [`Self::start`].
    pub waggle: Part<Waggle>,
    /// A process in the pod `client`.
    pub from_pod: Part<Client>,
    /// A process on the node, outside of all pods.
    pub from_node: Part<Client>,
    /// The backends' servers, in the order of the backends.
    pub servers: Vec<Server>,
    /// The place of its objects.
    pub objects: Objects,
    /// The pod of `from_pod`.
    pub client: Part<Pod>,
    /// The backends `p1`, `p2`, …
    pub pods: Vec<Pod>,
    /// The node.
    pub node: Node,
    /// The lab.
    pub lab: Lab,
    arguments: Vec<OsString>,
    contained: bool,
    capabilities: Option<Vec<Capability>>,
}

impl Scene {
    /// Starts the scene's own agent and waits until it serves.
    pub fn start(&mut self) {
        self.waggle = Some(self.agent(&[])).into();
    }

    /// Starts an agent that the caller keeps, with further arguments, and waits until it serves. The instance's pins are removed
    /// when it is dropped.
    pub fn agent(&self, arguments: &[&str]) -> Waggle {
        self.command(arguments).start().expect("start the agent")
    }

    /// The agent's command line, with further arguments.
    pub fn command(&self, arguments: &[&str]) -> WaggleCommand {
        let command = self.node.waggle(&self.objects.source());
        let command = match &self.objects {
            Objects::Folder(folder) => command.allocating(&SERVICE_CIDRS.join(","), folder.allocations()),
            Objects::Api(_) => command,
        };
        let command = command.args(self.arguments.clone()).args(arguments.iter().copied());
        let command = if self.contained { command.contained() } else { command };
        match &self.capabilities {
            Some(kept) => command.capabilities(kept.iter().copied()),
            None => command,
        }
    }

    /// The folder of manifests.
    pub fn folder(&self) -> &ManifestDir {
        let Objects::Folder(folder) = &self.objects else { panic!("the objects are in an API server") };
        folder
    }

    /// The API server.
    pub fn api(&self) -> &ApiCluster {
        let Objects::Api(api) = &self.objects else { panic!("the objects are in a folder") };
        api
    }

    /// Adds pods to the node, without servers.
    pub fn add_pods<const N: usize>(&self, names: [&str; N]) -> [Pod; N] {
        names.map(|name| self.node.pod(name).expect("add a pod"))
    }

    /// Backend `number`, from 1: the pod `p1`, `p2`, …
    pub fn pod(&self, number: usize) -> &Pod {
        &self.pods[number - 1]
    }

    /// Creates or replaces an object.
    pub fn put(&self, object: &Value) {
        self.objects.put(object);
    }

    /// Removes an object of the namespace `default`.
    pub fn delete(&self, kind: &str, name: &str) {
        self.objects.delete(kind, NAMESPACE, name);
    }

    /// Makes the Service `name` lead to a port of `pods`, in both families. Without pods it has no endpoints.
    pub fn endpoints(&self, name: &str, port: impl Fn(SliceBuilder) -> SliceBuilder, pods: &[&Pod]) {
        for slice in slices(name, port, pods) {
            self.put(&slice.build());
        }
    }

    /// Removes the Service `name` and the slices of [`Self::endpoints`].
    pub fn remove(&self, name: &str) {
        self.delete("Service", name);
        self.delete("EndpointSlice", name);
        self.delete("EndpointSlice", &format!("{name}-6"));
    }

    /// Waits until connections and datagrams from the client's pod to `to` end in exactly these ways; see [`expect()`].
    #[track_caller]
    pub fn expect(&self, to: impl Into<SocketAddr>, wanted: &[&str]) {
        expect(&self.from_pod, to.into(), wanted);
    }

    /// Checks without waiting that connections and datagrams from the client's pod end in these ways; see [`hold`].
    #[track_caller]
    pub fn hold(&self, to: impl Into<SocketAddr>, wanted: &[&str]) {
        hold(&self.from_pod, to.into(), wanted);
    }
}
