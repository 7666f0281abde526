//! The kernel's memory for the maps that an agent holds.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result, bail};

/// The memory of all maps of which a process has descriptors, in bytes, each counted once. An agent keeps descriptors
/// of all maps of its instance.
pub fn locked(pid: u32) -> Result<u64> {
    let folder = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&folder).with_context(|| format!("list {folder}"))?;
    // A descriptor may have been closed since the folder was read.
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let maps: BTreeMap<_, _> = texts.filter_map(|text| map(&text)).collect();
    if maps.is_empty() {
        bail!("the agent has no descriptors of maps in {folder}");
    }
    Ok(maps.values().sum())
}

/// The id of a descriptor's map and the map's memory; `None` for descriptors of something else.
fn map(text: &str) -> Option<(u32, u64)> {
    let value = |name| text.lines().find_map(|line: &str| Some(line.strip_prefix(name)?.trim()));
    Some((value("map_id:")?.parse().ok()?, value("memlock:")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_maps_have_memory() {
        let text = "pos:\t0\nmap_type:\t1\nmax_entries:\t9\nmemlock:\t4096\nmap_id:\t17\nfrozen:\t0\n";
        assert_eq!(map(text), Some((17, 4096)));
        // A program has a `memlock`, too.
        assert_eq!(map("prog_type:\t6\nmemlock:\t4096\nprog_id:\t3\n"), None);
    }
}
