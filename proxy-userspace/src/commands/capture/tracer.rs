//! Loads the tracing programs, and attaches them to Waggle's programs. They are on no hook and pinned nowhere: when this process
//! ends, however it does, the kernel removes them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap as Map, HashSet},
    io, mem,
    os::fd::{AsFd as _, AsRawFd, OwnedFd},
};

use aya::{
    Ebpf,
    maps::{self, Array, HashMap, MapData, MapError, PerfEventArray, perf::PerfEventArrayBuffer},
    programs::{ProgramInfo, loaded_programs},
    util::online_cpus,
};
use aya_obj::Object;
use proxy_common::capture::{Offsets, Settings};

use super::{error::CaptureError, hook::Stage, targets::Targets};
use crate::{
    attach::Variant,
    maps::{PinFolder, open_data_read_only},
    node::{
        bpf::{self, Moment, TracingProgram},
        btf::{Btf, BtfError},
    },
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/proxy-capture"));

/// Pages of all CPUs' buffers together, and the bounds for one CPU: 128 MiB, 256 KiB and 4 MiB.
const PAGES: usize = 1 << 15;
const PAGES_LEAST: usize = 1 << 6;
const PAGES_MOST: usize = 1 << 10;

/// The packets of a CPU that wait to be read.
pub(super) type Buffer = PerfEventArrayBuffer<MapData>;

/// The tracing programs and their maps.
pub(super) struct Tracer {
    object: Object,
    /// Descriptors of the maps by name.
    maps: Map<String, OwnedFd>,
    wanted: HashMap<MapData, u32, u32>,
    traced: BTreeMap<u32, Traced>,
}

/// A traced program.
struct Traced {
    stage: Stage,
    is_bare: bool,
    /// The links to the tracing programs, which end when they are closed; `None` for a program that is no longer traced, of which
    /// packets may still wait to be read.
    links: Option<[OwnedFd; 2]>,
}

impl Tracer {
    /// Creates the maps, and a buffer for each CPU. `settings` lacks the offsets of the kernel's fields.
    pub(super) fn new(settings: Settings) -> Result<(Self, Vec<Buffer>), CaptureError> {
        let settings = Settings { offsets: offsets(&Btf::of_kernel()?)?, ..settings };
        let mut ebpf = Ebpf::load(OBJECT)?;
        let mut maps = Map::new();
        for (name, map) in ebpf.maps() {
            maps.extend(descriptor(map).map_err(MapError::from)?.map(|descriptor| (name.to_owned(), descriptor)));
        }
        let mut take = |name| ebpf.take_map(name).ok_or(CaptureError::Missing(name));
        Array::try_from(take("SETTINGS")?)?.set(0, settings, 0)?;
        let wanted = HashMap::try_from(take("WANTED")?)?;
        let buffers = buffers(PerfEventArray::try_from(take("EVENTS")?)?)?;
        Ok((Self { object: Object::parse(OBJECT)?, maps, wanted, traced: BTreeMap::new() }, buffers))
    }

    /// Traces these programs, of exactly these devices if the settings say so. Programs that were traced before still are, until
    /// [`Self::release_others`].
    pub(super) fn follow(&mut self, targets: &Targets, folder: &PinFolder) -> Result<(), CaptureError> {
        let old: BTreeSet<u32> = self.wanted.keys().collect::<Result<_, _>>()?;
        for device in targets.devices.keys().filter(|device| !old.contains(device)) {
            self.wanted.insert(device, 1, 0)?;
        }
        for device in old.iter().filter(|device| !targets.devices.contains_key(device)) {
            self.wanted.remove(device)?;
        }
        for (program, stage) in &targets.programs {
            if self.traced.get(program).is_none_or(|traced| traced.links.is_none())
                && let Some(info) = loaded_programs().flatten().find(|info| info.id() == *program)
            {
                self.traced.insert(*program, self.trace(&info, *stage, folder)?);
            }
        }
        Ok(())
    }

    /// Traces no others than these programs any more. The others stay known until [`Self::forget_released`].
    pub(super) fn release_others(&mut self, targets: &Targets) {
        for (_, traced) in self.traced.iter_mut().filter(|(program, _)| !targets.programs.contains_key(program)) {
            traced.links = None;
        }
    }

    /// Forgets the programs that are no longer traced.
    pub(super) fn forget_released(&mut self) {
        self.traced.retain(|_, traced| traced.links.is_some());
    }

    /// Returns the hook of a program that is or was traced, and whether its packets have no Ethernet header.
    pub(super) fn traced(&self, program: u32) -> Option<(Stage, bool)> {
        self.traced.get(&program).map(|traced| (traced.stage, traced.is_bare))
    }

    /// Attaches the two tracing programs to a program.
    fn trace(&self, info: &ProgramInfo, stage: Stage, folder: &PinFolder) -> Result<Traced, CaptureError> {
        let program = info.id();
        let target = info.fd().map_err(|error| CaptureError::Look { program, source: io::Error::other(error) })?;
        let function = bpf::entry_function(&target).map_err(|source| CaptureError::Look { program, source })?;
        let function = function.ok_or(CaptureError::NoBtf(program))?;
        // The instructions name maps by their descriptors, which must be open until the programs are loaded.
        let counters = open_data_read_only(folder, "COUNTERS")?;
        let object = self.linked(&counters)?;
        let (received, sent) = match stage {
            Stage::Xdp => ("xdp_received", "xdp_sent"),
            Stage::Ingress | Stage::Egress => ("tc_received", "tc_sent"),
        };
        let attach = |name, moment| {
            let found =
                object.programs.get(name).and_then(|found| Some((found, object.functions.get(&found.function_key())?)));
            let (found, code) = found.ok_or(CaptureError::Missing(name))?;
            let tracing = TracingProgram { instructions: &code.instructions, license: &found.license, name };
            let link = bpf::load_tracing(tracing, moment, &target, function)
                .and_then(|tracing| Ok(bpf::attach_tracing(tracing, moment, program.into())?));
            link.map_err(|source| CaptureError::Trace { program, source })
        };
        // A packet whose beginning was not seen is left out, so the end comes first.
        let sent = attach(sent, Moment::Exit)?;
        let links = [sent, attach(received, Moment::Entry)?];
        Ok(Traced { stage, is_bare: Variant::of(info) == Variant::Bare, links: Some(links) })
    }

    /// Returns the programs with the descriptors of their maps. `counters` takes the place of COUNTERS.
    fn linked(&self, counters: &MapData) -> Result<Object, CaptureError> {
        let mut object = self.object.clone();
        let declared = mem::take(&mut object.maps);
        let descriptor = |name: &String| match name.as_str() {
            "COUNTERS" => Some(counters.fd().as_fd().as_raw_fd()),
            _ => self.maps.get(name).map(AsRawFd::as_raw_fd),
        };
        let maps = declared.iter().filter_map(|(name, map)| Some((name.as_str(), descriptor(name)?, map)));
        let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        object.relocate_maps(maps, &sections)?;
        object.relocate_calls(&sections)?;
        Ok(object)
    }
}

/// Returns a descriptor of a map; `None` for a type of map that the tracing programs do not have.
fn descriptor(map: &maps::Map) -> io::Result<Option<OwnedFd>> {
    match map {
        maps::Map::Array(data)
        | maps::Map::HashMap(data)
        | maps::Map::PerCpuArray(data)
        | maps::Map::PerfEventArray(data) => data.fd().as_fd().try_clone_to_owned().map(Some),
        _ => Ok(None),
    }
}

fn offsets(kernel: &Btf) -> Result<Offsets, BtfError> {
    Ok(Offsets {
        xdp_data: kernel.offset("xdp_buff", "data")?,
        xdp_data_end: kernel.offset("xdp_buff", "data_end")?,
        xdp_rxq: kernel.offset("xdp_buff", "rxq")?,
        rxq_device: kernel.offset("xdp_rxq_info", "dev")?,
        skb_data: kernel.offset("sk_buff", "data")?,
        skb_length: kernel.offset("sk_buff", "len")?,
        skb_data_length: kernel.offset("sk_buff", "data_len")?,
        skb_device: kernel.offset("sk_buff", "dev")?,
        device_index: kernel.offset("net_device", "ifindex")?,
    })
}

fn buffers(mut events: PerfEventArray<MapData>) -> Result<Vec<Buffer>, CaptureError> {
    let cpus = online_cpus().map_err(|(_, error)| CaptureError::Cpus(error))?;
    let pages = (PAGES / cpus.len().next_power_of_two()).clamp(PAGES_LEAST, PAGES_MOST);
    cpus.into_iter().map(|cpu| Ok(events.open(cpu, Some(pages))?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_the_programs_and_maps() {
        let object = Object::parse(OBJECT).unwrap();
        for name in ["xdp_received", "xdp_sent", "tc_received", "tc_sent"] {
            // The kernel keeps 15 bytes of a name.
            assert!(object.programs.contains_key(name) && name.len() < 16, "{name}");
        }
        for name in ["SETTINGS", "WANTED", "COUNTERS", "EVENTS", "XDP_NOTES", "TC_NOTES"] {
            assert!(object.maps.contains_key(name), "{name}");
        }
    }
}
