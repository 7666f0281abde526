//! Devices, addresses, rules and programs of others.

use std::{fs, thread::sleep};

use harness::{
    lab::Pass,
    scene::{ip, output},
};

use super::moment;
use crate::node::Node;

/// An XDP program on the node's device, where the agent serves it by TC; the agent of an earlier start may have had the
/// hook, the next one may want it.
pub fn foreign_program(node: &mut Node<'_>) -> anyhow::Result<()> {
    node.starts.mode = "auto";
    node.start()?;
    let pass = Pass::load(&format!("{}-foreign", node.outside.scene.lab.id()))?;
    let netns = node.host().netns();
    pass.attach(netns, "eth0")?;
    pass.unpin()?;
    node.settle()?;
    node.start()?;
    node.settle()?;
    ip(netns, &["link set dev eth0 xdp off"]);
    Ok(())
}

pub fn device_flap(node: &mut Node<'_>) {
    let netns = node.host().netns();
    for _ in 0..3 {
        ip(
            netns,
            &[
                "link add flap0 type veth peer name flap1",
                "address add 198.18.0.1/24 dev flap0",
                "address add fd00:5a::1/64 dev flap0 nodad",
                "link set flap0 up",
                "link set flap1 up",
            ],
        );
        sleep(moment(node));
        ip(netns, &["link del flap0"]);
    }
}

pub fn address_flap(node: &mut Node<'_>) {
    let netns = node.host().netns();
    for _ in 0..5 {
        // Deprecated, so that no connection of the node itself takes it for its source, and is lost with it.
        let add6 = "address add fd00:50::77/64 dev eth0 nodad preferred_lft 0";
        ip(netns, &["address add 192.168.50.77/24 dev eth0", add6]);
        sleep(moment(node));
        ip(netns, &["address del 192.168.50.77/24 dev eth0", "address del fd00:50::77/64 dev eth0"]);
    }
}

/// A firewall that tracks connections, and a table that translates addresses, as kube-proxy or a network plugin has them. The
/// kernel tracks connections, and translates, only while there are such rules.
const RULES: &str = "
table inet firewall {
    chain input { type filter hook input priority filter; policy accept; ct state established,related accept; }
    chain forward { type filter hook forward priority filter; policy accept; ct state established,related accept; }
}
table inet masquerading {
    chain postrouting { type nat hook postrouting priority srcnat; ip saddr 198.18.0.0/15 masquerade; }
}
";

pub fn flush_rules(node: &mut Node<'_>) -> anyhow::Result<()> {
    let (netns, rules) = (node.host().netns(), node.files.path().join("rules.nft"));
    fs::write(&rules, RULES)?;
    output(netns, &format!("nft -f {}", rules.display()));
    sleep(moment(node));
    output(netns, "nft flush ruleset");
    Ok(())
}
