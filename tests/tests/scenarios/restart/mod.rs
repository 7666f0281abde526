//! However an agent starts, ends or dies, nothing is lost that the earlier data plane would have served (S31, S39).

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod growth;
mod refused;
mod sockets;

use std::{net::SocketAddr, path::Path, thread};

use harness::{
    agents::{self, Files, Starts, from_folder},
    lab::{Host, START, eventually},
    load::{self, End, Tally},
    refused::RefusedAgent,
    scene::{Family, Outside, PORTS, Setup, expect, from_outside_by},
};
use proxy_userspace::maps::PinFolder;

/// Sizes that differ from the defaults: each makes some maps new. Datagrams leave flows for minutes, so the
/// maps are large enough for the flows of the whole test.
const OTHER_SIZES: [&[&str]; 4] = [
    &["--max-conntrack", "150000", "--max-embryonic", "50000", "--max-socket-connections", "9000"],
    &["--max-services", "300", "--max-slots", "3000", "--max-backends", "500", "--max-service-ports", "400"],
    &[
        "--max-socket-connections",
        "20000",
        "--max-socket-flows",
        "30000",
        "--max-affinity",
        "900",
        "--max-fragments",
        "500",
        "--max-embryonic",
        "60000",
    ],
    &["--max-conntrack", "200000", "--max-members", "700", "--max-networks", "90", "--max-source-ranges", "80"],
];

/// Puts a Service of both families, with a backend on this node and one on the other.
fn serve(outside: &Outside) {
    outside.web_of_both().iter().for_each(|object| outside.scene.put(object));
    for family in Family::BOTH {
        for to in outside.frontends(family) {
            expect(&outside.client, to, &["far", "p1"]);
        }
    }
}

fn source(outside: &Outside) -> Vec<String> {
    let folder = outside.scene.folder();
    from_folder(folder.path(), &folder.allocations())
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
            let before = (load::resets(&outside.scene.node), load::drops(&outside.scene.node));
            let mut starts = Starts::new(outside, mode);
            thread::scope(|scope| {
                let ended = End(&tally);
                load::start(scope, outside, neighbours.each_ref().map(|host| &**host), &tally);
                scenario(&mut starts, &source, &tally);
                wait_for_answers(&tally);
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
            assert_eq!((load::resets(&outside.scene.node), load::drops(&outside.scene.node)), before);
        });
    }
}

/// The events of a round.
enum Round<'a> {
    /// The program serves.
    Serves(&'a str, &'a [&'a str]),
    /// The program is killed when it has logged this many lines, or serves.
    Dies(&'a str, &'a [&'a str], usize),
    /// The program is killed when it has logged this, and the load continues without it.
    DiesAfter(&'a str, &'a [&'a str], &'a str),
    /// The API server never answers, and the old data plane serves.
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
        Round::DiesAfter(program, sizes, text) => {
            let mark = starts.start(program, source, sizes);
            starts.wait(mark, text);
            starts.kill();
            return wait_for_answers(tally);
        }
        Round::Waits(program, sizes) => {
            let mark = starts.start(program, &["--kubeconfig", silent], sizes);
            starts.wait(mark, "new maps are ready");
            wait_for_answers(tally);
        }
        Round::Fails(program, sizes) => {
            let mark = starts.start(program, source, sizes);
            starts.wait(mark, "load program ");
            assert!(!starts.process.take().unwrap().wait(START).unwrap().success());
            assert!(!PinFolder::new(&starts.outside.scene.node.instance()).next().maps().exists());
            wait_for_answers(tally);
        }
    }
    starts.kill();
}

/// Waits until the load has got many more answers.
fn wait_for_answers(tally: &Tally) {
    let before = tally.answers();
    assert!(eventually(START, || tally.answers() > before + 200), "the load goes on");
}

#[test]
fn w01_nothing_is_lost_however_agents_start_and_end() {
    let (built, other) = (agents::built(), agents::other_abi());
    let agent = RefusedAgent::new(&["tc_reject"]);
    let refused = agents::text(agent.path());
    under_load(&["tc", "xdp"], "restarts", |starts, source, tally| {
        let files = Files::new(&starts.outside.scene.node.instance());
        let silent = files.silent_api_server();
        // Some hooks have new programs, the others, which make the entries, still the old ones.
        run(starts, &Round::DiesAfter(&built, OTHER_SIZES[0], "\"getpeername6\""), source, &silent, tally);
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
