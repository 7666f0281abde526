//! `cargo xtask soak`: constant load over one node while its agent is killed, stopped, replaced and misled, and its
//! machine is disturbed. Nothing may be lost, nothing may reach a backend that its Service does not have, and after
//! each disturbance every change must come into force. The seed is printed; a run with that seed makes the same
//! choices.

mod disturbances;
mod expected;
mod node;
mod objects;
mod report;
mod services;

use std::{
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum as _};
use fastrand::Rng;
use harness::{
    lab::Host,
    load::{self, End, Tally},
    scene::{Origin, Outside, Setup, from_outside_by},
};

use self::{disturbances::Disturbance, node::Node, report::Report, services::Changing};

/// Disturbs an agent and its machine under load, and counts what is lost
#[derive(Parser)]
struct Arguments {
    /// Duration in minutes
    #[arg(long, value_name = "N", default_value_t = 3.0)]
    minutes: f64,
    /// Repeat the choices of the run that printed this seed
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Cause only these disturbances
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    only: Vec<Disturbance>,
    /// Write the numbers as a JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was wrong.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let seed = arguments.seed.unwrap_or_else(random_seed);
    println!("seed {seed}: repeat with `cargo xtask soak --minutes {} --seed {seed}`", arguments.minutes);
    let mut report = Err(anyhow::anyhow!("no scene"));
    // The devices support native XDP. Each agent's mode decides whether it is used.
    from_outside_by("xdp", Setup::new("soak").origin(Origin::Api), |outside| {
        report = soak(outside, arguments, Rng::with_seed(seed));
    });
    let report = report?;
    print!("{report}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json(seed)).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(report.is_clean())
}

fn random_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs()
}

/// Disturbs until the time is over, and checks after each disturbance.
fn soak(outside: &mut Outside, arguments: &Arguments, random: Rng) -> anyhow::Result<Report> {
    // From now on this test starts the agents: the scene's agent would remove the data plane at its end.
    outside.scene.waggle.kill()?;
    let outside = &*outside;
    let lab = &outside.scene.lab;
    let neighbours = [lab.client("asking")?, lab.client("asked")?];
    let [asking, asked]: [&Host; 2] = [&neighbours[0], &neighbours[1]];
    let (changing, tally) = (Changing::new(outside), Tally::new());
    let mut node = Node::new(outside, &changing, random)?;
    let (before, sent_again) = (node.evidence(), node.sent_again());
    let started = Instant::now();
    let outcome = thread::scope(|scope| {
        let _end = End(&tally);
        load::start(scope, outside, [asking, asked], &tally);
        changing.start(scope, &tally);
        let lasts = Duration::from_secs_f64(arguments.minutes * 60.0);
        disturb(&mut node, &tally, &arguments.only, (started, lasts))
    });
    let mut report = Report::new(started.elapsed(), &tally, node.disturbed());
    report.sent_again = node.sent_again() - sent_again;
    if let Err(error) = outcome {
        report.add(format!("{error:#}"));
    }
    node.evidence().iter().zip(before).filter(|(after, before)| *after != before).for_each(|(after, before)| {
        report.add(format!("{after} (before: {before})"));
    });
    if !report.is_clean() {
        node.show_log();
    }
    Ok(report)
}

fn disturb(
    node: &mut Node<'_>,
    tally: &Tally,
    only: &[Disturbance],
    (started, lasts): (Instant, Duration),
) -> anyhow::Result<()> {
    let kinds: Vec<_> = if only.is_empty() { Disturbance::value_variants().to_vec() } else { only.to_vec() };
    let mut next = Vec::new();
    while started.elapsed() < lasts {
        if next.is_empty() {
            // Each kind once, in a new order, so that short runs have all of them.
            next.clone_from(&kinds);
            node.random.shuffle(&mut next);
        }
        let Some(kind) = next.pop() else { break };
        let (began, answered) = (Instant::now(), tally.answers());
        let before = node.evidence();
        kind.happen(node).and_then(|()| node.settle()).with_context(|| format!("{kind:?}"))?;
        let after = node.evidence();
        ensure!(after == before, "{kind:?}: {after:?}, not {before:?}");
        ensure!(load_goes_on(tally, answered), "the load stands still after {kind:?}");
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{:>7.1} s  {:<22} {seconds:>5.1} s  {} answered",
            started.elapsed().as_secs_f64(),
            kind.name(),
            tally.answers() - answered
        );
        node.note(kind);
        ensure!(tally.is_clean(), "stop at the first fault");
    }
    Ok(())
}

/// Waits until the load has got some more answers.
fn load_goes_on(tally: &Tally, before: usize) -> bool {
    harness::lab::eventually(harness::lab::START, || tally.answers() > before + 100)
}

#[cfg(test)]
mod tests {
    use harness::lab::typed;

    use super::*;

    #[test]
    fn the_pages_command_can_be_parsed() {
        let commands =
            typed::all("docs/reliability.md").expect("read the page").into_iter().map(|command| command.line);
        let own: Vec<_> = commands.filter(|line| line.starts_with("cargo xtask soak")).collect();
        assert!(!own.is_empty());
        for line in own {
            assert!(Arguments::try_parse_from(line.split(' ').skip(2)).is_ok(), "{line}");
        }
    }
}
