//! Finds programs of others on the hooks that Waggle uses. Only reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use aya::programs::{ProgramInfo, loaded_programs};
use rtnetlink::packet_route::link::LinkXdp;

use super::{
    AttachError,
    cgroup::{Cgroup, PROGRAMS},
    clsact,
    device::{DeviceHook, Hook},
    tcx, xdp,
};
use crate::{
    maps::PIN_ROOT,
    node::{
        bpf::{self, AttachedPrograms},
        capabilities,
    },
};

/// A program on a hook that no instance of Waggle has attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// The hook.
    pub hook: &'static str,
    /// The program's id.
    pub id: u32,
    /// The program's name; empty if it has none or can't be seen.
    pub name: String,
    /// Whether no other program can be attached beside it.
    pub is_exclusive: bool,
}

/// The programs that are known on this machine.
#[derive(Debug)]
pub struct KnownPrograms {
    /// Those that instances of Waggle have attached.
    own: BTreeSet<u32>,
    /// The names of all programs; empty if this process may not see them.
    names: BTreeMap<u32, String>,
}

impl KnownPrograms {
    /// Reads the pins of all instances, and the names of all programs.
    pub fn read() -> Self {
        let name = |program: ProgramInfo| (program.id(), program.name_as_str().unwrap_or_default().to_owned());
        let names = capabilities::with_all_programs_visible(|| loaded_programs().flatten().map(name).collect());
        Self { own: own_programs(Path::new(PIN_ROOT)), names }
    }

    /// Returns the programs of others on the hooks of a cgroup that Waggle uses.
    pub fn on_cgroup(&self, cgroup: &Path) -> Result<Vec<Occupant>, AttachError> {
        let target = Cgroup::open(cgroup)?;
        let mut found = Vec::new();
        for (hook, attach_type) in PROGRAMS {
            let programs = bpf::programs_at(target.target(), attach_type)
                .map_err(|source| AttachError::Query { target: format!("cgroup {}", cgroup.display()), source })?;
            let is_exclusive = programs.flags & AttachedPrograms::MULTIPLE == 0;
            found.extend(self.others(hook, programs.ids, is_exclusive));
        }
        Ok(found)
    }

    /// Returns the XDP program on a device, unless an instance of Waggle has attached it.
    pub fn xdp_on(&self, device: u32) -> io::Result<Option<Occupant>> {
        let id = xdp::find(device, None, |part| if let LinkXdp::ProgId(id) = part { Some(id) } else { None })?;
        Ok(self.others("xdp", id.into_iter().collect(), true).pop())
    }

    /// Returns the programs of others on the TC hooks of a device: TCX links, and filters of clsact.
    pub fn tc_on(&self, device: u32) -> io::Result<Vec<Occupant>> {
        let mut found = Vec::new();
        for hook in [Hook::TcxIngress, Hook::TcxEgress] {
            found.extend(self.others(hook.word(), tcx::programs(device, hook)?, false));
        }
        for hook in [Hook::ClsactIngress, Hook::ClsactEgress] {
            let hook = DeviceHook { hook, device, name: String::new() };
            found.extend(self.others(hook.hook.word(), clsact::programs(&hook), false));
        }
        Ok(found)
    }

    fn others(&self, hook: &'static str, programs: Vec<u32>, is_exclusive: bool) -> Vec<Occupant> {
        let others = programs.into_iter().filter(|id| !self.own.contains(id));
        let name = |id: u32| self.names.get(&id).cloned().unwrap_or_default();
        others.map(|id| Occupant { hook, id, name: name(id), is_exclusive }).collect()
    }
}

/// Returns the ids of the programs on the hooks that are pinned below `root`, by all instances.
fn own_programs(root: &Path) -> BTreeSet<u32> {
    let instances = fs::read_dir(root).into_iter().flatten().flatten();
    let pins =
        instances.flat_map(|instance| fs::read_dir(instance.path().join("links")).into_iter().flatten().flatten());
    pins.filter_map(|pin| own_program(&pin.path())).collect()
}

fn own_program(pin: &Path) -> Option<u32> {
    let hook = pin.file_name()?.to_str()?.parse::<DeviceHook>();
    if hook.is_ok_and(|hook| !hook.hook.has_link()) {
        return ProgramInfo::from_pin(pin).ok().map(|program| program.id());
    }
    Some(bpf::link_info(bpf::open_pin(pin).ok()?).ok()?.program)
}
