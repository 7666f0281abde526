//! `cargo xtask fuzz`: sends random and damaged packets through the packet programs and checks the rules that every
//! result obeys: right lengths and checksums, known destinations, everything else untouched. The seed is printed. A
//! run with that seed makes the same choices, except for what the programs themselves choose at random.

mod generate;
mod judge;
mod services;

use std::{
    process::ExitCode,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use fastrand::Rng;
use harness::test_run::{Action, BenchNode, Counts, Hook, hex};
use proxy_common::Counter;

use generate::{Generator, TestFrame};
use judge::Judge;

/// The number of packets between two changes of the Services in force.
const ROUND: u64 = 20_000;
/// The number of faults that are shown before the fuzzer gives up.
const FAULTS: usize = 10;

/// Sends random packets through the packet programs.
#[derive(Parser)]
struct Arguments {
    /// Number of packets
    #[arg(long, default_value_t = 1_000_000)]
    packets: u64,
    /// Repeat the choices of the run that printed this seed
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let Arguments { packets, seed } = Arguments::parse();
    let seed = seed.unwrap_or_else(random_seed);
    println!("seed {seed}: repeat with `cargo xtask fuzz --packets {packets} --seed {seed}`");
    let started = Instant::now();
    let mut fuzz = Fuzz::new(seed);
    let before = fuzz.node.state().counts();
    for index in 0..packets {
        if index % ROUND == 0 {
            fuzz.change_services();
        }
        fuzz.send_frame(index);
        if fuzz.faults >= FAULTS {
            break;
        }
    }
    let counts = fuzz.node.state().counts_since(&before);
    fuzz.check_counts(&counts);
    println!("{:.1} s; {} faults", started.elapsed().as_secs_f64(), fuzz.faults);
    println!("outcomes: {:?}\ncounters: {counts:?}", fuzz.tally);
    if fuzz.faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn random_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Rng::with_seed(u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or(0)).u64(..)
}

/// The number of packets with each outcome.
#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    translated: u64,
    sent: u64,
    dropped: u64,
    /// Frames that the kernel does not take as packets.
    too_short: u64,
}

struct Fuzz {
    node: BenchNode,
    random: Rng,
    generator: Generator,
    judge: Judge,
    tally: Tally,
    faults: usize,
}

impl Fuzz {
    fn new(seed: u64) -> Self {
        Self {
            node: BenchNode::new("fuzz"),
            random: Rng::with_seed(seed),
            generator: Generator::default(),
            judge: Judge::default(),
            tally: Tally::default(),
            faults: 0,
        }
    }

    fn change_services(&mut self) {
        let services = services::random(&mut self.random);
        self.judge.allow(&services);
        self.node.serve(&services);
    }

    fn send_frame(&mut self, index: u64) {
        let sent = self.generator.next(&mut self.random);
        let Some((action, out)) = self.node.try_frame(sent.hook, sent.device, &sent.frame) else {
            self.tally.too_short += 1;
            return;
        };
        self.judge.note_sent(&sent.frame);
        match action {
            Action::Drop => self.tally.dropped += 1,
            Action::Pass if out == sent.frame => self.tally.passed += 1,
            Action::Pass => self.tally.translated += 1,
            _ => self.tally.sent += 1,
        }
        if let Err(fault) = self.judge.judge(&sent, action, &out) {
            self.report(index, &sent, action, &out, &fault);
        }
        self.generator.learn(&sent, action, out);
    }

    fn report(&mut self, index: u64, sent: &TestFrame, action: Action, out: &[u8], fault: &str) {
        self.faults += 1;
        let TestFrame { hook, device, frame } = sent;
        println!(
            "packet {index} at {hook:?} of {device:?}: {fault}\n  in  {}\n  {action:?}\n  out {}",
            hex(frame),
            hex(out)
        );
    }

    /// Every drop has a counted reason, and so has every packet that was changed.
    fn check_counts(&mut self, counts: &Counts) {
        let sum = |wanted: fn(&str) -> bool| -> u64 {
            counts.iter().filter(|(counter, _)| wanted(&format!("{counter:?}"))).map(|(_, count)| count).sum()
        };
        let refused = sum(|name| name.starts_with("Reject") || name.starts_with("Drop"));
        let translated = counts.get(&Counter::PacketTranslated).copied().unwrap_or(0);
        let sent = counts.get(&Counter::PacketForwarded).copied().unwrap_or(0)
            + counts.get(&Counter::EchoReply).copied().unwrap_or(0);
        let Tally { dropped, translated: changed, sent: all_sent, .. } = self.tally;
        // A refusal is either answered or dropped.
        if refused + sent != dropped + all_sent || translated < changed {
            self.faults += 1;
            println!("counted {refused} refused, {sent} sent, {translated} translated: not what was seen");
        }
    }
}

/// A hook for packets that arrive.
fn ingress_hook(random: &mut Rng) -> Hook {
    if random.bool() { Hook::Xdp } else { Hook::TcIngress }
}
