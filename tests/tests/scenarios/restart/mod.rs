//! However an agent starts, ends or dies, nothing is lost that the earlier data plane would have served (S31, S39).
//!

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod growth;
mod load;
mod program;
mod refused;
mod sockets;

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use aya::maps::{Map, MapData, PerCpuArray};
use harness::{
    lab::{Host, Log, Process, START, eventually},
    refused::RefusedAgent,
    scene::{Family, Outside, PORTS, SERVICE_CIDRS, Setup, expect, from_outside_by, web_slice},
};
use proxy_common::Counter;
use proxy_userspace::maps::PinFolder;

use self::{load::Tally, program::Files};

/// Sizes that differ from the defaults: each makes some maps new. Datagrams leave flows for minutes, so there is room
/// for the flows of the whole test.
const OTHER_SIZES: [&[&str]; 4] = [
    &["--max-conntrack", "150000", "--max-embryonic", "50000"],
    &["--max-services", "300", "--max-slots", "3000", "--max-backends", "500", "--max-service-ports", "400"],
    &["--max-affinity", "900", "--max-fragments", "500", "--max-embryonic", "60000"],
    &["--max-conntrack", "200000", "--max-members", "700", "--max-networks", "90", "--max-source-ranges", "80"],
];

/// The agent of the scene's node, which is started again and again, each time in another way.
struct Starts<'a> {
    outside: &'a Outside,
    mode: &'static str,
    cgroup: &'a Path,
    log: Log,
    process: Option<Process>,
}

impl Starts<'_> {
    /// Kills the agent that runs, and starts another, whose maps have their final sizes.
    fn start(&mut self, program: &str, source: &[&str], arguments: &[&str]) -> usize {
        self.start_growing(program, source, &[&["--preallocate"], arguments].concat())
    }

    /// Kills the agent that runs, and starts another.
    fn start_growing(&mut self, program: &str, source: &[&str], arguments: &[&str]) -> usize {
        self.kill();
        let scene = &self.outside.scene;
        let mark = self.log.mark();
        let mut command = Command::new(program);
        command.args(["run", "--log-format", "json", "--log-level", "warn,proxy_userspace=debug"]);
        command.args(["--instance", &scene.node.instance(), "--node-name", scene.node.name()]);
        command.arg("--cgroup").arg(self.cgroup).args(["--device-mode", self.mode]);
        command.args(source).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = scene.node.spawn(command).unwrap();
        self.log.follow(process.take_stdout().unwrap());
        self.log.follow(process.take_stderr().unwrap());
        self.process = Some(process);
        mark
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
        }
    }

    fn wait(&self, mark: usize, text: &str) {
        self.log.wait(mark, START, |line| line.text.contains(text)).unwrap();
    }

    /// Waits until the log has so many lines after `mark`, or the agent serves.
    fn wait_lines(&self, mark: usize, count: usize) {
        let is_there = || {
            let lines = self.log.since(mark);
            lines.len() >= count || lines.iter().any(|line| line.message() == "serving")
        };
        assert!(eventually(START, is_there), "{:#?}", self.log.since(mark));
    }
}

/// Puts a Service of both families, with a backend on this node and one on the other.
fn serve(outside: &Outside) {
    let [v4, v6] = Family::BOTH.map(|family| outside.web(family));
    let v6 = v6.build();
    let mut both = v4.cluster_ip(&Family::Ipv6.cluster_ip(1).to_string()).build();
    for part in ["/spec/externalIPs", "/status/loadBalancer/ingress"] {
        let more = v6.pointer(part).unwrap().as_array().unwrap().clone();
        both.pointer_mut(part).unwrap().as_array_mut().unwrap().extend(more);
    }
    outside.scene.put(&both);
    for family in Family::BOTH {
        let slice = web_slice("web", family).name(&family.name("web"));
        outside.scene.put(&slice.pod(outside.scene.pod(1)).pod(&outside.remote).build());
        for to in outside.frontends(family) {
            expect(&outside.client, to, &["far", "p1"]);
        }
    }
}

fn source(outside: &Outside) -> Vec<String> {
    let folder = outside.scene.folder();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let cidrs = SERVICE_CIDRS.join(",");
    let allocations = path(folder.allocations().as_ref());
    ["--manifests", &path(folder.path()), "--service-cidr", &cidrs, "--allocations", &allocations]
        .map(String::from)
        .to_vec()
}

/// Runs `scenario` under load, in each of `modes`, and checks that nothing was lost.
fn under_load(modes: &[&'static str], name: &str, scenario: impl Fn(&mut Starts<'_>, &[&str], &Tally)) {
    for &mode in modes {
        from_outside_by(mode, name, |outside| {
            serve(outside);
            outside.scene.waggle.kill().unwrap();
            let source = source(outside);
            let source: Vec<&str> = source.iter().map(String::as_str).collect();
            let (tally, outside) = (Tally::new(), &*outside);
            let neighbours = ["asking", "asked"].map(|name| outside.scene.lab.client(name).unwrap());
            let before = (load::resets(&outside.scene.node), drops(outside));
            let (cgroup, log) = (outside.scene.node.cgroup(), Log::default());
            let mut starts = Starts { outside, mode, cgroup, log, process: None };
            thread::scope(|scope| {
                let ended = End(&tally);
                load::start(scope, outside, neighbours.each_ref().map(|host| &**host), &tally);
                scenario(&mut starts, &source, &tally);
                go_on(&tally);
                drop(ended);
            });
            if !tally.is_clean() {
                println!(
                    "{}",
                    starts.log.since(0).iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
                );
            }
            tally.check("at the end");
            println!("{} conversations and echoes, none lost", tally.answers());
            // A reset would show that the node's stack has got a packet of some flow that it does not know.
            assert_eq!((load::resets(&outside.scene.node), drops(outside)), before);
        });
    }
}

/// Ends the load when dropped, so also when the scenario fails.
struct End<'a>(&'a Tally);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Counters of drops that are not 0.
fn drops(outside: &Outside) -> Vec<(Counter, u64)> {
    let pin = PinFolder::new(&outside.scene.node.instance()).map("COUNTERS");
    let counters: PerCpuArray<_, u64> =
        MapData::from_pin(pin).and_then(Map::from_map_data).and_then(PerCpuArray::try_from).unwrap();
    let count = |counter: Counter| counters.get(&(counter as u32), 0).unwrap().iter().sum();
    let is_drop = |counter: &Counter| format!("{counter:?}").starts_with("Drop");
    let drops = Counter::ALL.into_iter().filter(is_drop).map(|counter| (counter, count(counter)));
    drops.filter(|(_, count)| *count != 0).collect()
}

/// What happens in a round.
enum Round<'a> {
    /// The program serves.
    Serves(&'a str, &'a [&'a str]),
    /// The program is killed when it has logged so many lines, or serves.
    Dies(&'a str, &'a [&'a str], usize),
    /// The API server never answers; meanwhile the old data plane serves.
    Waits(&'a str, &'a [&'a str]),
    /// The kernel refuses the programs.
    Fails(&'a str, &'a [&'a str]),
}

fn run(starts: &mut Starts<'_>, round: &Round<'_>, source: &[&str], silent: &str, tally: &Tally) {
    match round {
        Round::Serves(program, sizes) => {
            let mark = starts.start(program, source, sizes);
            starts.wait(mark, "\"serving\"");
        }
        Round::Dies(program, sizes, lines) => {
            let mark = starts.start(program, source, sizes);
            starts.wait_lines(mark, *lines);
        }
        Round::Waits(program, sizes) => {
            let mark = starts.start(program, &["--kubeconfig", silent], sizes);
            starts.wait(mark, "new maps are ready");
            go_on(tally);
        }
        Round::Fails(program, sizes) => {
            let mark = starts.start(program, source, sizes);
            starts.wait(mark, "load program ");
            assert!(!starts.process.take().unwrap().wait(START).unwrap().success());
            assert!(!PinFolder::new(&starts.outside.scene.node.instance()).next().maps().exists());
            go_on(tally);
        }
    }
    starts.kill();
}

/// Waits until the load has got many more answers.
fn go_on(tally: &Tally) {
    let before = tally.answers();
    assert!(eventually(START, || tally.answers() > before + 200), "the load goes on");
}

#[test]
fn w01_nothing_is_lost_however_agents_start_and_end() {
    let (built, other) = (program::built(), program::other_abi());
    let agent = RefusedAgent::new(&["tc_reject"]);
    let refused = program::text(agent.path());
    under_load(&["tc", "xdp"], "restarts", |starts, source, tally| {
        let files = Files::new(&starts.outside.scene.node.instance());
        let silent = files.silent_api_server();
        for cycle in 0..5 {
            let sizes = |round: usize| OTHER_SIZES[(cycle + round) % OTHER_SIZES.len()];
            let rounds = [
                Round::Dies(&built, sizes(0), 1 + cycle),
                Round::Dies(&built, sizes(1), 7 + 4 * cycle),
                if cycle % 2 == 0 { Round::Serves(&other, sizes(2)) } else { Round::Dies(&other, &[], 9 + 3 * cycle) },
                if cycle % 2 == 0 { Round::Waits(&built, sizes(3)) } else { Round::Fails(&refused, sizes(3)) },
                Round::Serves(&built, if cycle % 2 == 0 { &[] } else { sizes(0) }),
            ];
            for round in &rounds {
                run(starts, round, source, &silent, tally);
            }
        }
    });
}

#[test]
fn w01_a_node_whose_pins_are_gone_keeps_its_own_traffic() {
    from_outside_by("tc", Setup::new("unpinned").args(["--tc-attach", "clsact"]), |outside| {
        serve(outside);
        outside.scene.waggle.kill().unwrap();
        // The filters stay attached, but the kernel clears the program arrays by which their stages continue.
        std::fs::remove_dir_all(outside.scene.waggle.pins()).unwrap();
        let (node, host): (&Host, &Host) = (&outside.scene.node, &outside.host);
        for family in Family::BOTH {
            for (from, to) in
                [(node, family.of(host)), (host, family.of(node)), (&outside.scene.client, family.of(host))]
            {
                from.netns().batch(&[format!("neigh flush to {to} dev eth0")]).unwrap();
                assert!(from.ping(to, START).unwrap(), "{} asks {to}", from.name());
            }
            // To a server of the node, and to a port without one.
            let at = |port| SocketAddr::new(family.of(node), port);
            assert_eq!(outside.client.tcp(at(PORTS[0])).unwrap().backend(), node.name());
            assert_eq!(outside.client.udp(at(PORTS[0])).unwrap().backend(), node.name());
            assert_eq!(outside.client.tcp(at(1)).unwrap_err().errno, "ECONNREFUSED");
        }
        outside.scene.waggle.restart().unwrap();
        for to in Family::BOTH.map(|family| outside.node_port(family)) {
            expect(&outside.client, to, &["far", "p1"]);
        }
    });
}
