//! Services whose backends change all the time, and what their clients may see.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    thread::Scope,
    time::Duration,
};

use anyhow::ensure;
use fastrand::Rng;
use harness::{
    lab::{Client, Host, Pod, Reply, eventually},
    load::{Tally, dial},
    objects::{Cluster, slice},
    scene::{Family, Outside, web, web_node_port, web_slice},
};
use serde_json::Value;

/// The number of Services.
const SERVICES: u8 = 4;
/// The number of the first Service, from which its addresses and node port follow. `web`, which never changes, has 1.
const FIRST: u8 = 20;
/// How long a change may take until it is in force once the agent serves and the API server answers.
pub const WAIT_LIMIT: Duration = Duration::from_mins(1);

type Names = BTreeSet<String>;

/// A Service without clients. Its slice is put after all others, each time with another port: once that port is in the maps, so
/// is everything before it. Clients can't show this, since a list may be the same as an earlier one.
const MARKER: &str = "marker";
/// The first of the marker's ports.
const MARKER_PORT: u16 = 20_000;

/// The Services that change.
pub struct Changing<'a> {
    outside: &'a Outside,
    services: Vec<Service>,
    /// The number of changes so far.
    changes: AtomicU16,
    /// Clients that check whether a change is in force: one outside, one in a pod.
    lookers: [Client; 2],
}

struct Service {
    number: u8,
    /// The backends that may answer: those of the last change, and of the earlier ones that may still be in force.
    allowed: Mutex<Names>,
    wanted: Mutex<Names>,
}

impl Service {
    fn name(&self) -> String {
        format!("changing-{}", self.number)
    }

    fn node_port(&self) -> u16 {
        30_000 + u16::from(self.number)
    }

    fn frontends(&self, outside: &Outside) -> [[SocketAddr; 2]; 2] {
        Family::BOTH.map(|family| {
            [family.frontend(self.number), SocketAddr::new(family.of(&outside.scene.node), self.node_port())]
        })
    }
}

fn lock(names: &Mutex<Names>) -> MutexGuard<'_, Names> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Changing<'a> {
    /// Makes Services without backends, which are not put anywhere yet.
    pub fn new(outside: &'a Outside) -> Self {
        let service = |number| Service { number, allowed: Mutex::default(), wanted: Mutex::default() };
        let look = |host: &Host| host.client().expect("start a client");
        Self {
            outside,
            services: (FIRST..FIRST + SERVICES).map(service).collect(),
            changes: AtomicU16::new(0),
            lookers: [look(&outside.host), look(&outside.scene.client)],
        }
    }

    /// Puts the Services.
    pub fn put(&self, cluster: &impl Cluster) {
        for service in &self.services {
            let addresses = Family::BOTH.map(|family| family.cluster_ip(service.number));
            cluster.put(&web_node_port(&service.name(), addresses, service.node_port()).build());
        }
        cluster.put(&web(MARKER, [Family::Ipv4.cluster_ip(FIRST - 1)]).build());
    }

    /// Gives each Service other backends, at least one.
    pub fn change(&self, cluster: &impl Cluster, random: &mut Rng) {
        for service in &self.services {
            let mut pods = self.pods();
            random.shuffle(&mut pods);
            pods.truncate(random.usize(1..=pods.len()));
            let names: Names = pods.iter().map(|pod| pod.name().to_owned()).collect();
            lock(&service.allowed).extend(names.iter().cloned());
            *lock(&service.wanted) = names;
            for family in Family::BOTH {
                let slice = web_slice(&service.name(), family).name(&family.name(&service.name()));
                cluster.put(&pods.iter().fold(slice, |slice, pod| slice.pod(pod)).build());
            }
        }
        let port = MARKER_PORT + 1 + self.changes.fetch_add(1, Ordering::Relaxed) % MARKER_PORT;
        let marker = slice(MARKER).named_port("tcp", "TCP", port).pod(self.outside.scene.pod(1));
        cluster.put(&marker.build());
    }

    /// Whether the last change is in the maps, by the rows of `waggle get services`.
    pub fn has_come(&self, rows: &[Value]) -> bool {
        let port = MARKER_PORT + self.changes.load(Ordering::Relaxed).saturating_sub(1) % MARKER_PORT + 1;
        let wanted = SocketAddr::new(self.outside.scene.pod(1).v4().into(), port).to_string();
        let of_marker = rows.iter().filter(|row| row["name"] == MARKER);
        of_marker.filter_map(|row| row["internal"]["backends"].as_array()).flatten().any(|backend| *backend == *wanted)
    }

    fn pods(&self) -> Vec<&'a Pod> {
        let scene = &self.outside.scene;
        vec![scene.pod(1), scene.pod(2), &self.outside.remote]
    }

    /// Waits until the last change is in force everywhere. From then on nothing else may answer.
    pub fn settle(&self) -> anyhow::Result<()> {
        for service in &self.services {
            let wanted = lock(&service.wanted).clone();
            for to in service.frontends(self.outside).into_iter().flatten() {
                for client in &self.lookers {
                    let mut seen = Names::new();
                    let is_there = eventually(WAIT_LIMIT, || {
                        // 24 connections miss one of three backends with a probability of 1 in 5,000. Then they are repeated.
                        seen = client.tally(to, 24).into_keys().collect();
                        seen == wanted
                    });
                    ensure!(is_there, "{} at {to}: {seen:?} answer, not {wanted:?}", service.name());
                }
            }
            *lock(&service.allowed) = wanted;
        }
        Ok(())
    }

    /// Starts clients of all Services: outside, in a pod, and on the node.
    pub fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, tally: &'scope Tally) {
        let scene = &self.outside.scene;
        let places: [(_, &Host); 3] =
            [("outside", &self.outside.host), ("a pod", &scene.client), ("the node", &scene.node)];
        for (place, host) in places {
            let client = host.client().expect("start a client");
            scope.spawn(move || {
                tally.repeat(|| self.services.iter().for_each(|service| self.dial(&client, place, service, tally)));
            });
        }
    }

    fn dial(&self, client: &Client, place: &str, service: &Service, tally: &Tally) {
        for to in service.frontends(self.outside).into_iter().flatten() {
            let before = lock(&service.allowed).clone();
            dial(client, (place, to), tally, |reply| judge(reply, &before, &lock(&service.allowed)));
        }
    }
}

/// What is wrong with a reply: its backend must have been allowed when the conversation began, or be allowed now.
fn judge(reply: &Reply, before: &Names, after: &Names) -> Result<(), String> {
    let backend = reply.backend();
    if !before.contains(backend) && !after.contains(backend) {
        return Err(format!("{backend} answers, which is none of {before:?}"));
    }
    Ok(())
}
