//! What is measured on a node whose agent serves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    Plan,
    figures::{Churn, Cost},
    flood::{Turns, flood},
    node::ScaleNode,
    probe::{End, now},
};
use crate::interrupt::Interrupted;

/// How long the probe dials before a change.
const LEAD: Duration = Duration::from_millis(2);

/// The pause after a change, so that each is programmed by itself.
const APART: Duration = Duration::from_millis(10);

/// How often memory is looked at.
const GLANCE: Duration = Duration::from_millis(1);

/// How long the agent may take to list again.
const PATIENCE: Duration = Duration::from_mins(2);

/// The times from a change until a new connection obeys it.
pub fn effects(node: &mut ScaleNode, count: u32, interrupted: &Interrupted) -> Result<Vec<Duration>> {
    let mut wanted = End::Open;
    let mut times = Vec::new();
    // The last change of two leads back to the open end.
    for _ in 0..count.next_multiple_of(2) {
        interrupted.check()?;
        wanted = wanted.other();
        node.begin(wanted)?;
        sleep(LEAD);
        let begin = now()?;
        node.change(wanted);
        times.push(node.end()?.saturating_sub(begin));
        sleep(APART);
    }
    Ok(times)
}

/// The same while other slices change.
pub fn under_churn(node: &mut ScaleNode, plan: &Plan, interrupted: &Interrupted) -> Result<Churn> {
    let (agent, server, end) = (node.agent, Arc::clone(&node.server), AtomicBool::new(false));
    let mut turns = Turns::new(node.size);
    let churn = scope(|scope| {
        let flooding = scope.spawn(|| flood(&server, &mut turns, plan.churn, &end));
        let (begin, before) = (Instant::now(), agent.processor());
        let times = effects(node, plan.churned_effects, interrupted);
        let elapsed = begin.elapsed();
        let after = agent.processor();
        end.store(true, Ordering::Relaxed);
        let Ok(rate) = flooding.join() else { bail!("the thread that changes slices has panicked") };
        let busy = (after? - before?).as_secs_f64() / elapsed.as_secs_f64();
        Ok(Churn { times: times?, busy, rate })
    })?;
    turns.restore(&server);
    Ok(churn)
}

/// The processor time of the agent for a change: for each block of changes the mean.
pub fn costs(node: &ScaleNode, plan: &Plan, interrupted: &Interrupted) -> Result<Cost> {
    let mut turns = Turns::new(node.size);
    let mut means = Vec::new();
    for _ in 0..plan.blocks {
        interrupted.check()?;
        let before = node.agent.processor()?;
        for _ in 0..plan.block {
            turns.change(&node.server);
            sleep(APART);
        }
        means.push((node.agent.processor()? - before) / plan.block);
    }
    Ok(means)
}

/// The anonymous memory before a relist, and the most while the agent lists again after it has lost its watches and
/// the server its history.
pub fn relist(node: &ScaleNode) -> Result<(u64, u64)> {
    node.agent.quiet()?;
    let before = node.agent.anonymous()?;
    let lists = || node.server.requests().iter().filter(|it| !it.is_watch() && it.is_for("endpointslices")).count();
    let listed = lists();
    node.server.stop().context("close the agent's connections")?;
    // Now every watch ends before the oldest change that the server remembers.
    Turns::new(node.size).change(&node.server);
    node.server.compact();
    node.server.listen().context("let the agent connect again")?;
    let begin = Instant::now();
    let mut peak = before;
    let mut quiet = (Instant::now(), node.agent.processor()?);
    loop {
        sleep(GLANCE);
        peak = peak.max(node.agent.anonymous()?);
        if quiet.0.elapsed() > Duration::from_millis(500) {
            let used = node.agent.processor()?;
            if used - quiet.1 < Duration::from_millis(5) && lists() > listed {
                return Ok((before, peak));
            }
            quiet = (Instant::now(), used);
        }
        if begin.elapsed() > PATIENCE {
            bail!("the agent has not listed again after {PATIENCE:?}");
        }
    }
}
