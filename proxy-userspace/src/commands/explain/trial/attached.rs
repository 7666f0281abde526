//! The programs that see a device's incoming packets, as the kernel has them: their tags, and their load-time constants.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use aya::{
    maps::{MapData, MapError, MapInfo},
    programs::{ProgramInfo, loaded_programs},
};
use proxy_common::{MAPS, Stage};

use super::not_run::NotRun;
use crate::{
    attach::{Group, Variant, device::Hook, stages_of},
    commands::get::{DeviceRow, ProgramCell},
    maps::{PinFolder, open_data_read_only},
    node::{bpf, capabilities},
    succession::private_copy::CONSTANTS,
};

/// Maps that aya makes for each load: the sections of constants begin with a dot.
const LOG: &str = "AYA_LOGS";

/// Where a program sees packets that come in. XDP comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// An XDP hook.
    Xdp,
    /// A hook of TC ingress.
    Tc,
}

impl Layer {
    /// Returns the layer's name in output for programs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        }
    }

    /// Returns the name of the program array with the layer's stages.
    pub const fn stages(self) -> &'static str {
        match self {
            Self::Xdp => "XDP_STAGES",
            Self::Tc => "TC_STAGES",
        }
    }

    const fn group(self) -> Group {
        match self {
            Self::Xdp => Group::Xdp,
            Self::Tc => Group::Tc,
        }
    }

    const fn of(hook: Hook) -> Option<Self> {
        match hook {
            Hook::XdpNative | Hook::XdpGeneric => Some(Self::Xdp),
            Hook::TcxIngress | Hook::ClsactIngress => Some(Self::Tc),
            Hook::TcxEgress | Hook::ClsactEgress => None,
        }
    }
}

/// A program that the kernel has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The program's name in the eBPF object.
    pub name: &'static str,
    /// The kernel's hash of its instructions, without the numbers of its maps.
    pub tag: u64,
}

/// The programs of a layer that a first packet may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedLayer {
    /// The layer.
    pub layer: Layer,
    /// The program on the hook.
    pub first: Tagged,
    /// The stages in the program array.
    pub stages: Vec<(Stage, Tagged)>,
}

/// What sees a device's incoming packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedPrograms {
    /// The layers, in the order in which they see a packet.
    pub layers: Vec<AttachedLayer>,
    /// The load-time constants of the programs.
    pub constants: Vec<u8>,
}

/// Reads which programs see the packets that come in by a device.
pub fn read(folder: &PinFolder, device: &DeviceRow) -> Result<AttachedPrograms, NotRun> {
    capabilities::with_all_programs_visible(|| {
        let loaded = loaded_programs().flatten().map(|program| (program.id(), program)).collect();
        let ids = MAPS.iter().map(|map| Ok(MapInfo::from_pin(folder.map(map.name))?.id()));
        let pinned = ids.collect::<Result<_, MapError>>().map_err(NotRun::Read)?;
        Reader { folder, device, loaded, pinned }.read()
    })
}

struct Reader<'a> {
    folder: &'a PinFolder,
    device: &'a DeviceRow,
    loaded: BTreeMap<u32, ProgramInfo>,
    /// The ids of the pinned maps.
    pinned: BTreeSet<u32>,
}

impl Reader<'_> {
    fn read(&self) -> Result<AttachedPrograms, NotRun> {
        let gone = || NotRun::Detached(self.device.device.clone());
        let (mut layers, mut constants) = (Vec::new(), None);
        for cell in &self.device.programs {
            let Some(layer) = layer(cell) else { continue };
            let program = cell.program.and_then(|id| self.loaded.get(&id)).ok_or_else(gone)?;
            if Variant::of(program) == Variant::Bare {
                return Err(NotRun::Bare(self.device.device.clone()));
            }
            let stages = self.stages(layer)?;
            // The program for SCTP alone needs no constants. The stage that it continues in has them.
            for program in iter::once(program).chain(stages.iter().map(|(.., program)| *program)) {
                constants = constants.or(self.constants(program)?);
            }
            let tagged = stages.into_iter().map(|(stage, name, program)| (stage, Tagged { name, tag: program.tag() }));
            layers.push(AttachedLayer { layer, first: first(layer, program)?, stages: tagged.collect() });
        }
        layers.sort_by_key(|layer| layer.layer);
        let constants = constants.ok_or_else(gone)?;
        Ok(AttachedPrograms { layers, constants })
    }

    /// Returns the stages of a layer that a first packet may reach, as far as they are in the program array, with their names in
    /// the eBPF object.
    fn stages(&self, layer: Layer) -> Result<Vec<(Stage, &'static str, &ProgramInfo)>, NotRun> {
        let array = open_data_read_only(self.folder, layer.stages()).map_err(NotRun::Maps)?;
        let mut stages = Vec::new();
        for (name, stage) in stages_of(layer.group()).filter(|(_, stage)| is_reached(*stage)) {
            let id = bpf::read_element(&array, &(stage as u32).to_ne_bytes()).map_err(NotRun::Read)?;
            let id = id.and_then(|bytes| Some(u32::from_ne_bytes(bytes.try_into().ok()?)));
            if let Some(program) = id.and_then(|id| self.loaded.get(&id)) {
                stages.push((stage, name, program));
            }
        }
        Ok(stages)
    }

    /// Returns the content of the program's map of load-time constants, if it has one. Fails if the program has other maps than the
    /// pinned ones.
    fn constants(&self, program: &ProgramInfo) -> Result<Option<Vec<u8>>, NotRun> {
        let ids = program.map_ids().map_err(NotRun::Programs)?.unwrap_or_default();
        let mut constants = None;
        for id in ids.into_iter().filter(|id| !self.pinned.contains(id)) {
            let info = MapInfo::from_id(id).map_err(NotRun::Read)?;
            match info.name_as_str() {
                Some(CONSTANTS) => constants = read_constants(id).map_err(NotRun::Read)?,
                Some(name) if name == LOG || name.starts_with('.') => {}
                _ => return Err(NotRun::OtherMaps),
            }
        }
        Ok(constants)
    }
}

fn layer(cell: &ProgramCell) -> Option<Layer> {
    Hook::ALL.into_iter().find(|hook| hook.word() == cell.hook).and_then(Layer::of)
}

/// Returns the program on a hook of this layer by its name in the eBPF object.
fn first(layer: Layer, program: &ProgramInfo) -> Result<Tagged, NotRun> {
    let hook = if layer == Layer::Xdp { Hook::XdpNative } else { Hook::TcxIngress };
    let found = program.name_as_str().unwrap_or_default();
    let name = hook.programs().iter().find(|name| **name == found);
    let name = name.ok_or_else(|| NotRun::Unknown(found.to_owned()))?;
    Ok(Tagged { name, tag: program.tag() })
}

/// Whether a packet that may open a flow, or that belongs to one, can reach a stage. The others are for ICMP, for what leaves, and
/// for another set of programs.
const fn is_reached(stage: Stage) -> bool {
    matches!(stage, Stage::Open | Stage::Send | Stage::Refresh | Stage::Reject | Stage::Ingress)
}

fn read_constants(id: u32) -> Result<Option<Vec<u8>>, MapError> {
    bpf::read_element(&MapData::from_id(id)?, &0_u32.to_ne_bytes())
}
