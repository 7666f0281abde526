//! What the agent needs as the cluster grows: the time from a change until new connections obey it, the processor time
//! of a change, starts, and memory, of an agent that follows the test API server by TLS.

mod chart;
mod cluster;
mod figures;
mod flood;
mod lists;
mod maps;
mod node;
mod plan;
pub mod probe;
mod rounds;
mod table;
mod usage;

use anyhow::{Context as _, Result};

pub use self::{
    chart::draw,
    figures::flat,
    plan::{Plan, Size},
    table::text,
};
use self::{
    figures::{Row, ScaleFigures},
    node::ScaleNode,
};
use crate::interrupt::Interrupted;

/// Measures everything. Sizes come one after the other, each in a lab of its own.
pub fn measure(plan: &Plan, interrupted: &Interrupted) -> Result<Vec<Row>> {
    let mut figures = ScaleFigures::default();
    idle(plan, &mut figures)?;
    let reference = ScaleNode::create(plan.reference, &plan.reference.flags())?;
    for size in &plan.costs {
        interrupted.check()?;
        if !size.fits(usage::available()?) {
            eprintln!("  {} Services: left out, the machine has too little memory", size.services);
            continue;
        }
        one_size(plan, *size, &reference, &mut figures, interrupted)
            .with_context(|| format!("measure {} Services", size.services))?;
    }
    Ok(figures.rows([plan.idle, plan.small, plan.large]))
}

/// A node with few Services that serves its devices, too.
fn idle(plan: &Plan, figures: &mut ScaleFigures) -> Result<()> {
    let node = ScaleNode::create(plan.idle, &["--device-mode", "auto"])?;
    node.agent.quiet()?;
    figures.idle_maps = Some(maps::locked(node.agent.pid())?);
    figures.idle_rest = Some(node.agent.busy_over(plan.rest)?);
    Ok(())
}

/// Measures everything for one number of Services.
fn one_size(
    plan: &Plan,
    size: Size,
    reference: &ScaleNode,
    figures: &mut ScaleFigures,
    interrupted: &Interrupted,
) -> Result<()> {
    let mut node = ScaleNode::create(size, &size.flags())?;
    eprintln!("  {} Services × {}: serving after {:.2} s", size.services, size.endpoints, node.start.as_secs_f64());
    node.agent.quiet()?;
    let anonymous = node.agent.anonymous()?;
    figures.memory.push((size, anonymous));
    if size == plan.large {
        figures.start = Some((node.start, lists::read_as(&node.server, node.node.netns())?));
        figures.rest = Some(node.agent.busy_over(plan.rest)?);
        figures.quiet = rounds::effects(&mut node, plan.effects, interrupted)?;
        figures.churn = Some(rounds::under_churn(&mut node, plan, interrupted)?);
        node.agent.quiet()?;
        figures.relist = Some(rounds::relist(&node)?);
    }
    figures.costs.push((size, rounds::costs([&node, reference], plan, interrupted)?));
    Ok(())
}
