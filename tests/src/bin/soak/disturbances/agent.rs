//! Agents that end and start, and resources that they run out of.

use std::{fs, path::Path, thread::sleep};

use anyhow::{Context as _, ensure};
use harness::{
    agents::{from_folder, other_abi},
    lab::{LogLine, START},
    objects::{Cluster as _, service, slice},
    scene::Origin,
};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::Signal,
};

use super::{FILLER, empty, fill, moment};
use crate::node::{Node, SIZES};

/// More Services than the small maps have room for.
const FILLERS: u8 = 120;

/// As large as BACKENDS is at first.
const FIRST_SIZE: &[&str] = &["--max-backends", "4096"];
/// The number of slices of a Service with so many backends that this map has to grow.
const LARGE: u8 = 17;

pub fn kill(node: &mut Node<'_>) -> anyhow::Result<()> {
    node.starts.kill();
    node.change();
    sleep(moment(node));
    node.start()
}

pub fn terminate(node: &mut Node<'_>) -> anyhow::Result<()> {
    let mut process = node.starts.process.take().context("no agent")?;
    process.signal(Signal::SIGTERM)?;
    let status = process.wait(START)?;
    ensure!(status.success(), "the agent ends with {status}");
    node.change();
    sleep(moment(node));
    node.start()
}

pub fn die_starting(node: &mut Node<'_>) -> anyhow::Result<()> {
    node.sizes = node.random.choice(SIZES).unwrap_or_default();
    let mark = node.launch();
    node.starts.wait_lines(mark, node.random.usize(1..40));
    node.starts.kill();
    node.change();
    node.start()
}

pub fn resize(node: &mut Node<'_>) -> anyhow::Result<()> {
    node.sizes = node.random.choice(SIZES).unwrap_or_default();
    node.start()
}

pub fn other_layout(node: &mut Node<'_>) -> anyhow::Result<()> {
    let own = std::mem::replace(&mut node.program, other_abi());
    node.start()?;
    node.settle()?;
    node.program = own;
    node.start()
}

pub fn switch_mode(node: &mut Node<'_>) -> anyhow::Result<()> {
    node.starts.mode = if node.starts.mode == "auto" { "xdp" } else { "auto" };
    node.start()
}

pub fn switch_source(node: &mut Node<'_>) -> anyhow::Result<()> {
    node.source = if node.source == Origin::Api { Origin::Folder } else { Origin::Api };
    node.start()
}

pub fn full_maps(node: &mut Node<'_>) -> anyhow::Result<()> {
    node.sizes = &["--max-services", "150"];
    node.start()?;
    let mark = node.starts.log.mark();
    fill(node, FILLERS);
    node.starts.log.wait(mark, START, |line| line.text.contains("degraded")).context("no map is full")?;
    node.settle_full()?;
    empty(node, FILLERS);
    node.settle()?;
    node.sizes = SIZES[0];
    node.start()
}

pub fn growth(node: &mut Node<'_>) -> anyhow::Result<()> {
    // A start keeps the sizes that it finds, as far as it may: an earlier growth is taken back.
    node.sizes = FIRST_SIZE;
    node.start()?;
    node.sizes = SIZES[0];
    node.start()?;
    let mark = node.starts.log.mark();
    for part in 0..LARGE {
        let address = |number| format!("10.245.{part}.{number}");
        let part = slice("large").name(&format!("large-{part}")).named_port("tcp", "TCP", 8080);
        node.objects.put(&(1..=200).fold(part, |slice, number| slice.endpoint(&address(number))).build());
    }
    node.objects.put(&service("large").cluster_ip("10.96.2.1").named_port("tcp", "TCP", 80, 8080).build());
    if node.random.bool() {
        // The next start makes room for what is listed.
        node.starts.wait_lines(mark, node.random.usize(1..8));
        node.starts.kill();
        node.start()?;
    } else {
        let has_grown = |line: &LogLine| line.message() == "map has grown" && line.text.contains("\"BACKENDS\"");
        node.starts.log.wait(mark, START, has_grown).context("BACKENDS does not grow")?;
    }
    node.settle()?;
    node.objects.delete("Service", "default", "large");
    (0..LARGE).for_each(|part| node.objects.delete("EndpointSlice", "default", &format!("large-{part}")));
    Ok(())
}

pub fn full_disk(node: &mut Node<'_>) -> anyhow::Result<()> {
    let folder = node.files.path().join("full");
    fs::create_dir_all(&folder)?;
    mount(Some("tmpfs"), &folder, Some("tmpfs"), MsFlags::empty(), Some("size=4k"))?;
    let outcome = with_full_disk(node, &folder);
    // The next agent has its file elsewhere.
    node.starts.kill();
    umount2(&folder, MntFlags::MNT_DETACH)?;
    outcome?;
    node.start()
}

fn with_full_disk(node: &mut Node<'_>, folder: &Path) -> anyhow::Result<()> {
    // The kernel writes as much as fits.
    let _ = fs::write(folder.join("filler"), vec![0; 1 << 16]);
    let allocations = folder.join("allocations.json");
    let source = from_folder(node.objects.folder.path(), &allocations);
    let source: Vec<_> = source.iter().map(String::as_str).collect();
    let mark = node.starts.start_growing(&node.program, &source, node.sizes);
    node.serves(mark)?;
    let name = format!("{FILLER}without-address");
    node.objects.folder.put(&service(&name).named_port("tcp", "TCP", 80, 8080).build());
    let outcome = node.settle_full();
    node.objects.folder.delete("Service", "default", &name);
    outcome
}
