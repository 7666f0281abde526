//! What is measured on a node whose agent serves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

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
