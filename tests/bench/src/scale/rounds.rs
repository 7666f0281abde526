//! The measurements on a node whose agent serves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use harness::api_server::Request;

use super::{
    Plan,
    cluster::measured_service,
    figures::{Churn, Costs},
    flood::{Turns, flood},
    lists::is_list,
    node::ScaleNode,
    probe::{End, now},
};
use crate::interrupt::Interrupted;

/// How long the probe dials before a change.
const LEAD: Duration = Duration::from_millis(2);

/// The pause after a change, so that each is programmed by itself.
const APART: Duration = Duration::from_millis(10);

/// How long an agent may take until it asks for lists again.
const RELIST: Duration = Duration::from_mins(1);

/// How long until a map has grown after many changes at once: the agent looks each second.
const GROWTH: Duration = Duration::from_secs(2);

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

/// The times from a change until a new connection obeys it, while other slices change.
pub fn under_churn(node: &mut ScaleNode, plan: &Plan, interrupted: &Interrupted) -> Result<Churn> {
    let (agent, server, end) = (node.agent, Arc::clone(&node.server), AtomicBool::new(false));
    let mut turns = Turns::new(node.size);
    let churn = scope(|scope| {
        let flooding = scope.spawn(|| flood(&server, &mut turns, plan.churn, &end));
        let (begin, before) = (Instant::now(), agent.processor());
        let times = effects(node, plan.churned_effects, interrupted);
        let elapsed = begin.elapsed();
        let used = before.and_then(|before| agent.processor_since(before));
        end.store(true, Ordering::Relaxed);
        let Ok(rate) = flooding.join() else { bail!("the thread that changes slices has panicked") };
        let busy = used?.as_secs_f64() / elapsed.as_secs_f64();
        Ok(Churn { times: times?, busy, rate })
    })?;
    turns.restore(&server);
    Ok(churn)
}

/// The processor time of a change for the agent of each node: the mean of each block of changes. The nodes take turns, so that
/// whatever else slows the machine down meanwhile slows both.
pub fn costs(nodes: [&ScaleNode; 2], plan: &Plan, interrupted: &Interrupted) -> Result<Vec<Costs>> {
    let mut turns = nodes.map(|node| Turns::new(node.size));
    let mut blocks = Vec::new();
    for _ in 0..plan.blocks {
        interrupted.check()?;
        let mut block = |index: usize| -> Result<Duration> {
            let (node, turns) = (nodes[index], &mut turns[index]);
            let before = node.agent.processor()?;
            for _ in 0..plan.block {
                turns.change(&node.server);
                sleep(APART);
            }
            Ok(node.agent.processor_since(before)? / plan.block)
        };
        blocks.push(Costs { own: block(0)?, reference: block(1)? });
    }
    Ok(blocks)
}

/// The resident memory that reading all lists again takes at its peak, as a part of the anonymous memory before.
pub fn relist(node: &ScaleNode) -> Result<f64> {
    sleep(GROWTH);
    node.agent.quiet()?;
    let (anonymous, resident) = (node.agent.anonymous()?, node.agent.resident()?);
    let seen = node.server.requests().len();
    node.agent.forget_peak()?;
    // The agent misses the changes, and they leave the history before its watches come back.
    node.server.stop()?;
    let mut turns = Turns::new(node.size);
    turns.change(&node.server);
    turns.restore(&node.server);
    node.server.put(measured_service());
    node.server.compact();
    node.server.listen()?;
    let read_again = |plural: &str, requests: &[Request]| {
        requests.iter().skip(seen).any(|request| request.is_for(plural) && is_list(request))
    };
    for plural in ["services", "endpointslices"] {
        if !node.server.wait_for(RELIST, |requests| read_again(plural, requests)) {
            bail!("the agent has not read {plural} again within {RELIST:?}");
        }
    }
    node.agent.quiet()?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(node.agent.peak()?.saturating_sub(resident) as f64 / anonymous as f64)
}
