//! The program behind `cargo xtask run`: the real agent serves the bundled example manifests to real sockets, in
//! network namespaces that are removed when this process ends. `demo` stays until Ctrl-C; `demo --once` ends after the
//! table, with exit code 0 if every line behaved as its example says, else 1.

use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant},
};

use cluster::Cluster;
use screen::Screen;
use stop::Stop;

mod cluster;
mod examples;
mod judge;
mod lines;
mod screen;
mod stop;

/// How often a quiet demo checks whether it should end.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let once = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--once" => true,
        _ => {
            eprintln!("usage: demo [--once]");
            return ExitCode::from(2);
        }
    };
    match run(once) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Shows everything and returns whether every line was as wanted. Everything that it made is removed when it returns.
fn run(once: bool) -> anyhow::Result<bool> {
    let stop = Stop::listen()?;
    let screen = Screen::new();
    let started = Instant::now();
    screen.title();
    let mut cluster = Cluster::build()?;
    screen.step(started.elapsed(), "made 2 nodes with backends and a client pod, each in its own network namespace");
    let programmed = cluster.start_agent()?;
    screen.step(started.elapsed(), &programmed);
    let fits = show_table(&cluster, &screen, &stop);
    if !once && !stop.is_wanted() {
        screen.hints(&cluster);
        follow(&mut cluster, &screen, &stop)?;
    }
    screen.note("removing namespaces, cgroups, hooks and maps");
    Ok(fits)
}

/// Makes every line's requests and shows the outcomes as they come.
fn show_table(cluster: &Cluster, screen: &Screen, stop: &Stop) -> bool {
    screen.head();
    let mut faults = 0;
    for line in lines::LINES {
        let outcomes = cluster.ask(line);
        if stop.is_wanted() {
            return false;
        }
        let verdict = judge::judge(line, &outcomes);
        faults += usize::from(verdict.fault.is_some());
        screen.line(line, &verdict);
    }
    screen.summary(lines::LINES.len(), faults);
    faults == 0
}

/// Repeats the requests whenever the agent has programmed something, and shows what it refuses, until the demo should
/// end.
fn follow(cluster: &mut Cluster, screen: &Screen, stop: &Stop) -> anyhow::Result<()> {
    let mut seen = cluster.log_mark();
    while !stop.wait(POLL_INTERVAL) {
        cluster.check_agent()?;
        let log = cluster.agent_log(&mut seen);
        log.remarks.iter().for_each(|remark| screen.note(remark));
        if log.programmed {
            screen.note("the folder has changed; asked again (✗: not as in the bundled examples):");
            show_table(cluster, screen, stop);
        }
    }
    Ok(())
}
