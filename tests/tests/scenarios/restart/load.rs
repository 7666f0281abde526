//! A load that counts what it loses: long and short conversations, echoes and neighbour discovery, from outside, from
//! the node and from a pod, without a pause. It does not know about agents.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{Scope, sleep},
    time::{Duration, Instant},
};

use harness::{
    lab::{Client, Dial, Failure, Host, Manner, Socket},
    scene::{Family, NODE_PORT, Outside},
};

/// How long something may take before it counts as lost: far longer than any machine needs, and long enough to
/// retransmit once. A datagram is not retransmitted, and a reset ends a connection at once.
const LOST: Duration = Duration::from_secs(20);
/// A pause between two conversations, so that the agent gets a processor, too.
const PAUSE: Duration = Duration::from_millis(3);

/// The outcomes of all requests.
pub struct Tally {
    started: Instant,
    answered: AtomicUsize,
    lost: Mutex<Vec<String>>,
    done: AtomicBool,
}

impl Tally {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            answered: AtomicUsize::new(0),
            lost: Mutex::default(),
            done: AtomicBool::new(false),
        }
    }

    fn count<T>(&self, what: &str, outcome: Result<T, Failure>) {
        match outcome {
            Ok(_) => drop(self.answered.fetch_add(1, Ordering::Relaxed)),
            Err(failure) => self.lose(&format!("{what}: {failure:?}")),
        }
    }

    fn lose(&self, what: &str) {
        self.lost.lock().unwrap().push(format!("{:?}: {what}", self.started.elapsed()));
    }

    /// Whether nothing has been lost.
    pub fn is_clean(&self) -> bool {
        self.lost.lock().unwrap().is_empty()
    }

    /// Panics if something has been lost.
    pub fn check(&self, when: &str) {
        let lost = self.lost.lock().unwrap().clone();
        assert!(lost.is_empty(), "{when}: {} lost, {} answered: {lost:#?}", lost.len(), self.answers());
    }

    /// How many requests have been answered.
    pub fn answers(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the load.
    pub fn end(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    fn repeat(&self, mut work: impl FnMut()) {
        while !self.done.load(Ordering::Relaxed) {
            work();
            sleep(PAUSE);
        }
    }
}

/// Starts the load on a scene whose Service `web` has backends on both nodes; it ends with [`Tally::end`]. Of the two
/// neighbours, `asking` sends echo requests to the node, and `asked` gets them from it. No other packets go between
/// them and the node.
pub fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    outside: &'scope Outside,
    [asking, asked]: [&'scope Host; 2],
    tally: &'scope Tally,
) {
    let scene = &outside.scene;
    let origins = |host: &Host| [host.client().unwrap(), host.client().unwrap()];
    let places =
        [("outside", origins(&outside.host)), ("a pod", origins(&scene.client)), ("the node", origins(&scene.node))];
    for (place, [lasting, brief]) in places {
        let frontends = frontends(outside, place);
        let to = frontends.clone();
        scope.spawn(move || talk(&lasting, place, &to, tally));
        scope.spawn(move || dial(&brief, place, &frontends, tally));
    }
    let node = Family::BOTH.map(|family| family.of(&scene.node));
    let away = Family::BOTH.map(|family| family.of(asked));
    let host = Family::BOTH.map(|family| family.of(&outside.host));
    scope.spawn(move || ping(asking, node, true, tally));
    scope.spawn(move || ping(&scene.node, away, true, tally));
    scope.spawn(move || ping(&scene.client, host, false, tally));
}

/// Sends echo requests. With `anew` the neighbour is forgotten before each one, so that it has to be discovered.
/// Nothing else may be sent to this neighbour then: packets that wait for its discovery are lost when it is forgotten.
fn ping(host: &Host, to: [IpAddr; 2], anew: bool, tally: &Tally) {
    tally.repeat(|| {
        for to in to {
            if anew {
                host.netns().batch(&[format!("neigh flush to {to} dev eth0")]).unwrap();
            }
            match host.ping(to, LOST) {
                Ok(true) => drop(tally.answered.fetch_add(1, Ordering::Relaxed)),
                other => tally.lose(&format!("echo from {} to {to}: {other:?}", host.name())),
            }
        }
    });
}

fn frontends(outside: &Outside, place: &str) -> Vec<SocketAddr> {
    let both = Family::BOTH.into_iter();
    both.flat_map(|family| {
        let [cluster_ip, node_port, external, balancer] = outside.frontends(family);
        match place {
            "outside" => vec![cluster_ip, node_port, external, balancer],
            "the node" => vec![cluster_ip, SocketAddr::new(family.loopback(), NODE_PORT)],
            _ => vec![cluster_ip, node_port],
        }
    })
    .collect()
}

/// Conversations that never end.
fn talk(client: &Client, place: &str, frontends: &[SocketAddr], tally: &Tally) {
    let open = |to: &SocketAddr| {
        // Several, so that both backends have some of them.
        let tcp = (0..3).map(|_| client.connect_tcp(*to).unwrap());
        tcp.chain((0..3).map(|_| client.connect_udp(*to).unwrap())).map(|socket| (*to, socket)).collect::<Vec<_>>()
    };
    let sockets: Vec<(SocketAddr, Socket<'_>)> = frontends.iter().flat_map(open).collect();
    tally.repeat(|| {
        for (to, socket) in &sockets {
            let answer = socket.send("still there?").and_then(|()| socket.receive(LOST));
            tally.count(&format!("lasting flow from {place} to {to}"), answer);
        }
    });
}

/// Makes new conversations, one after the other.
fn dial(client: &Client, place: &str, frontends: &[SocketAddr], tally: &Tally) {
    tally.repeat(|| {
        for to in frontends {
            for manner in [Manner::Tcp, Manner::UdpConnected, Manner::UdpUnconnected] {
                let outcome = client.dial(&Dial::new(manner, *to).timeout(LOST));
                tally.count(&format!("new {manner:?} flow from {place} to {to}"), outcome);
            }
        }
    });
}

/// How many resets a host's stack has sent. It sends one for a packet that it finds no connection for, as when a flow
/// was lost.
pub fn resets(host: &Host) -> u64 {
    let read = || fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let text = host.netns().inside(read).unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let names = lines.next().unwrap().split(' ');
    let values = lines.next().unwrap().split(' ');
    names.zip(values).find(|(name, _)| *name == "OutRsts").unwrap().1.parse().unwrap()
}
