//! `waggle bpftool`: the commands of bpftool that dump an instance's maps and programs, each below a line that says what it shows.
//! docs/maps.md explains the output of some of them; a test compares the commands.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
};

use aya::{
    maps::MapInfo,
    programs::{ProgramError, ProgramInfo, loaded_programs},
};
use proxy_common::{MAPS, MapKind, MapSpec};

use super::{InspectError, snapshot::open};
use crate::{attach::device::DeviceHook, maps::PinFolder, node::bpf};

/// A program that uses an instance's maps.
struct Program {
    /// Its id in the kernel.
    id: u32,
    /// Its name in the eBPF object.
    name: String,
    /// The names of the links, and of the pins of clsact filters, by which it is attached.
    links: Vec<String>,
}

/// Returns the commands for the maps and programs of an instance, one on each line, with comments between them.
pub fn bpftool_commands(instance: &str) -> Result<String, InspectError> {
    let folder = open(instance)?;
    let programs = programs(&folder)?;
    Ok(MAPS.iter().map(|map| of_map(map, &folder)).chain(programs.iter().map(of_program)).collect())
}

fn of_map(map: &MapSpec, folder: &PinFolder) -> String {
    let pin = folder.map(map.name);
    let pin = pin.display();
    let command = match filter(map) {
        _ if map.kind == MapKind::SkStorage => "# (bpftool can't dump socket storage as a whole)".to_owned(),
        _ if map.kind == MapKind::RingBuf => {
            "# (bpftool can't dump a ring buffer: `waggle monitor` reads it)".to_owned()
        }
        None => format!("bpftool map dump pinned {pin}"),
        Some(filter) => format!("bpftool -j map dump pinned {pin} | jq -c '{filter}'"),
    };
    format!("# {}: {}\n{command}\n", map.name, holds(map))
}

/// Returns what a map holds: the first sentence of its documentation, without a full stop.
fn holds(map: &MapSpec) -> &'static str {
    let doc = map.doc.trim();
    doc.split_once(". ").map_or(doc.trim_end_matches('.'), |(first, _)| first)
}

/// Returns the jq filter that leaves out an array's unused elements; `None` for other maps, which need no filter.
fn filter(map: &MapSpec) -> Option<&'static str> {
    let is_array = matches!(map.kind, MapKind::Array | MapKind::MappedArray);
    match map.name {
        "BACKENDS" => Some(".[].formatted | select(.value.flags != 0)"),
        "FLOW_BUCKETS_IPV4" | "FLOW_BUCKETS_IPV6" => Some(".[].formatted.value | select(.key.protocol != 0)"),
        "NODE_ADDRESSES" => Some(".[].formatted | select(any(.value.bytes[]; . != 0))"),
        "SERVICE_COUNTERS" => Some(".[].formatted | select(any(.values[].value.connections; . != 0))"),
        "SOCKET_CONNECTIONS" => {
            Some(".[].formatted.value | [.cookies, .connections] | transpose[] | select(.[0] != 0)")
        }
        _ if is_array && map.default_entries > 1 => Some(".[].formatted | select(.value != 0)"),
        _ => None,
    }
}

fn of_program(program: &Program) -> String {
    let Program { id, name, links } = program;
    let place = match links.as_slice() {
        [] => "not attached: other programs call it, or it is for devices to come".to_owned(),
        links => format!("attached by {}", links.join(", ")),
    };
    format!("# Program {name}, {place}\nbpftool prog dump xlated id {id}\n")
}

/// Returns the programs that use the instance's maps: first those that are attached, by name.
fn programs(folder: &PinFolder) -> Result<Vec<Program>, InspectError> {
    let id = |map: &MapSpec| MapInfo::from_pin(folder.map(map.name)).ok().map(|info| info.id());
    let maps: BTreeSet<u32> = MAPS.iter().filter_map(id).collect();
    let mut links = links(folder)?;
    let mut found = Vec::new();
    for program in loaded_programs() {
        let program = match program {
            // It was unloaded after its id was read.
            Err(ProgramError::SyscallError(call)) if call.io_error.kind() == io::ErrorKind::NotFound => continue,
            program => program.map_err(|source| InspectError::Programs { source })?,
        };
        let used = program.map_ids().map_err(|source| InspectError::Programs { source })?.unwrap_or_default();
        if used.iter().any(|map| maps.contains(map)) {
            let name = program.name_as_str().unwrap_or_default().to_owned();
            found.push(Program { id: program.id(), name, links: links.remove(&program.id()).unwrap_or_default() });
        }
    }
    found.sort_by(|a, b| (a.links.is_empty(), &a.name, a.id).cmp(&(b.links.is_empty(), &b.name, b.id)));
    Ok(found)
}

/// Returns the names in the folder of links by the ids of their programs.
fn links(folder: &PinFolder) -> Result<BTreeMap<u32, Vec<String>>, InspectError> {
    let failed = |source| InspectError::Folder { path: folder.links(), source };
    let mut links: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(folder.links()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_filter = name.parse::<DeviceHook>().is_ok_and(|hook| !hook.hook.has_link());
        let id = if is_filter {
            ProgramInfo::from_pin(entry.path()).ok().map(|program| program.id())
        } else {
            bpf::open_pin(&entry.path()).and_then(bpf::link_info).ok().map(|link| link.program)
        };
        // A link that has gone meanwhile has no program.
        if let Some(id) = id {
            links.entry(id).or_default().push(name);
        }
    }
    for names in links.values_mut() {
        names.sort();
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Vec<String> {
        let folder = PinFolder::new("default");
        MAPS.iter().flat_map(|map| of_map(map, &folder).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn each_map_has_its_command_below_what_it_holds() {
        let commands = commands();
        assert_eq!(commands.len(), 2 * MAPS.len());
        let of = |map: &str| {
            let start = format!("# {map}: ");
            let line = commands.iter().position(|line| line.starts_with(&start)).unwrap();
            (commands[line][start.len()..].to_owned(), commands[line + 1].clone())
        };
        let services = "bpftool map dump pinned /sys/fs/bpf/waggle/default/services";
        let holds = "Dialled address, port and protocol → the service behind it";
        assert_eq!(of("SERVICES"), (holds.to_owned(), services.to_owned()));
        assert!(of("SLOTS").1.ends_with("/slots | jq -c '.[].formatted | select(.value != 0)'"));
        assert!(of("SOCKET_PEERS").1.starts_with("# (bpftool can't dump"));
    }

    #[test]
    fn what_a_map_holds_is_a_plain_sentence() {
        for map in MAPS {
            let text = holds(map);
            assert!(
                text.len() > 10 && !text.contains(['`', '[', '\n']) && !text.ends_with('.'),
                "{}: {text}",
                map.name
            );
        }
    }

    #[test]
    fn a_program_says_where_it_is_attached() {
        let attached =
            Program { id: 7, name: "xdp".to_owned(), links: vec!["xdp-2-eth0".to_owned(), "xdp-3-eth1".to_owned()] };
        let expected = "# Program xdp, attached by xdp-2-eth0, xdp-3-eth1\nbpftool prog dump xlated id 7\n";
        assert_eq!(of_program(&attached), expected);
        let stage = Program { id: 8, name: "reject".to_owned(), links: vec![] };
        assert!(of_program(&stage).starts_with("# Program reject, not attached: other programs call it"));
    }

    #[test]
    fn the_page_about_maps_has_these_commands() {
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/maps.md")).unwrap();
        let commands = commands();
        let shown: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# ")).collect();
        let dumps: Vec<&&str> = shown.iter().filter(|line| line.starts_with("bpftool ")).collect();
        assert!(dumps.len() > 3, "{shown:?}");
        assert!(dumps.iter().all(|dump| commands.iter().any(|command| command == **dump)), "{dumps:?}");
        let names = page.split("pinned …/").skip(1).filter_map(|rest| rest.split([' ', '`']).next());
        let names: Vec<&str> = names.collect();
        assert!(!names.is_empty());
        assert!(names.iter().all(|name| MAPS.iter().any(|map| map.name.to_lowercase() == **name)), "{names:?}");
    }
}
