//! An API server that goes away, or sends events late, twice or in another order.

use std::{thread::sleep, time::Duration};

use harness::{api_server::Slow, scene::Origin};

use super::{empty, fill, moment};
use crate::node::{Node, SIZES};

/// From now on the agent follows the API server.
fn follow_api(node: &mut Node<'_>) -> anyhow::Result<()> {
    if node.source == Origin::Api {
        return Ok(());
    }
    node.source = Origin::Api;
    node.start()
}

pub fn outage(node: &mut Node<'_>) -> anyhow::Result<()> {
    follow_api(node)?;
    fill(node, 5);
    node.settle()?;
    node.objects.api.stop()?;
    // Services go, others come, some of them with the addresses of those that went.
    empty(node, 5);
    for _ in 0..5 {
        node.change();
        sleep(moment(node));
    }
    fill(node, 8);
    node.objects.api.listen()?;
    node.settle()?;
    empty(node, 8);
    Ok(())
}

pub fn start_in_outage(node: &mut Node<'_>) -> anyhow::Result<()> {
    follow_api(node)?;
    node.objects.api.stop()?;
    node.sizes = node.random.choice(SIZES).unwrap_or_default();
    let mark = node.launch();
    node.change();
    sleep(Duration::from_secs(1) + moment(node));
    node.objects.api.listen()?;
    node.serves(mark)
}

pub fn late_events(node: &mut Node<'_>) -> anyhow::Result<()> {
    follow_api(node)?;
    node.objects.api.slow(Some(Slow { chunk: 200, pause: Duration::from_millis(20) }));
    node.objects.api.cut()?;
    for _ in 0..3 {
        node.change();
        sleep(moment(node));
    }
    node.objects.api.slow(None);
    Ok(())
}

pub fn doubled_events(node: &mut Node<'_>) -> anyhow::Result<()> {
    follow_api(node)?;
    node.change();
    node.objects.api.rewind_next_watches(3);
    node.objects.api.cut()?;
    node.change();
    Ok(())
}

pub fn reordered_events(node: &mut Node<'_>) -> anyhow::Result<()> {
    follow_api(node)?;
    node.objects.api.hold("endpointslices", true);
    node.objects.api.cut()?;
    fill(node, 5);
    node.change();
    sleep(moment(node));
    empty(node, 5);
    node.objects.api.hold("endpointslices", false);
    Ok(())
}

pub fn gone(node: &mut Node<'_>) -> anyhow::Result<()> {
    follow_api(node)?;
    node.objects.api.stop()?;
    node.change();
    node.objects.api.compact();
    node.objects.api.listen()?;
    Ok(())
}
