//! Loads the eBPF object a second time, for a process that runs its programs on test packets. The copy shares the pinned maps that
//! only the agent writes, and has maps of its own in place of all others: its programs change no state of the instance, and report
//! nothing to a running monitor.

use std::path::PathBuf;

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{MapError, MapInfo},
};
use object::{Object as _, ObjectSection as _};
use proxy_common::{MAPS, MapKind, MapSpec, Writer};

use super::loader::OBJECT;
use crate::maps::PinFolder;

/// The section, and the map, of the load-time constants.
pub(crate) const CONSTANTS: &str = ".rodata";

/// Why no copy can be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A pinned map is absent or can't be read.
    #[error("open pinned map {path}")]
    Open {
        /// The path of the pin.
        path: PathBuf,
        /// The cause.
        source: MapError,
    },
    /// The object can't be parsed.
    #[error("find the load-time constants in the eBPF object")]
    Parse(#[from] object::Error),
    /// The constants of the attached programs are others than those of this release.
    #[error("the attached programs have {found} bytes of load-time constants, those of this waggle {expected}")]
    Constants {
        /// Bytes of constants that were given.
        found: usize,
        /// Bytes of constants in the object.
        expected: usize,
    },
    /// The kernel refuses the copy.
    #[error("load a copy of the eBPF object")]
    Load(#[from] EbpfError),
    /// A pin has been replaced meanwhile.
    #[error("map {0} was replaced meanwhile: a restart is under way")]
    Replaced(&'static str),
}

/// Whether the copy has a map of its own in place of this one. Program arrays are the agent's, but lead to the attached programs.
pub(crate) fn is_private(map: &MapSpec) -> bool {
    map.writer != Writer::Agent || map.kind == MapKind::ProgramArray
}

/// Creates the private maps of a copy, with the sizes of those that are pinned in `folder`, and parses its programs, which are
/// loaded later. `constants` is the content of the map with the load-time constants of the attached programs.
pub(crate) fn load(folder: &PinFolder, constants: &[u8]) -> Result<Ebpf, CopyError> {
    let object = with_constants(constants)?;
    // aya would create and pin a map that is missing, so all are opened before.
    let pinned = MAPS.iter().map(|map| pinned(folder, map)).collect::<Result<Vec<_>, _>>()?;
    let paths: Vec<PathBuf> = MAPS.iter().map(|map| folder.map(map.name)).collect();
    let mut loader = EbpfLoader::new();
    for ((map, info), path) in MAPS.iter().zip(&pinned).zip(&paths) {
        if !is_private(map) {
            loader.map_pin_path(map.name, path.as_path());
        } else if info.max_entries() != 0 {
            loader.map_max_entries(map.name, info.max_entries());
        }
    }
    let ebpf = loader.load(&object)?;
    for (map, before) in MAPS.iter().zip(&pinned).filter(|(map, _)| !is_private(map)) {
        if self::pinned(folder, map)?.id() != before.id() {
            return Err(CopyError::Replaced(map.name));
        }
    }
    Ok(ebpf)
}

fn pinned(folder: &PinFolder, map: &MapSpec) -> Result<MapInfo, CopyError> {
    let path = folder.map(map.name);
    MapInfo::from_pin(&path).map_err(|source| CopyError::Open { path, source })
}

/// Returns the object with these constants.
fn with_constants(constants: &[u8]) -> Result<Vec<u8>, CopyError> {
    let file = object::File::parse(OBJECT)?;
    let range = file.section_by_name(CONSTANTS).and_then(|section| section.file_range());
    let (start, length) = range.map_or((0, 0), |(start, length)| (to_usize(start), to_usize(length)));
    if constants.len() != length {
        return Err(CopyError::Constants { found: constants.len(), expected: length });
    }
    let mut object = OBJECT.to_vec();
    object.splice(start..start + length, constants.iter().copied());
    Ok(object)
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_replaced_in_their_place() {
        let length = match with_constants(&[]) {
            Err(CopyError::Constants { found: 0, expected }) => expected,
            other => panic!("{other:?}"),
        };
        let object = with_constants(&vec![0x5a; length]).unwrap();
        assert_eq!(object.len(), OBJECT.len());
        let changed = object.iter().zip(OBJECT).filter(|(new, old)| new != old).count();
        assert!(changed > 0 && changed <= length, "{changed} of {length} bytes");
        let file = object::File::parse(object.as_slice()).unwrap();
        assert_eq!(file.section_by_name(CONSTANTS).unwrap().data().unwrap(), vec![0x5a; length]);
    }

    #[test]
    fn what_programs_write_is_private() {
        let private = |name| is_private(MAPS.iter().find(|map| map.name == name).unwrap());
        assert!(
            ["COUNTERS", "AFFINITY", "EMBRYONIC_IPV4", "SNAT_PORTS", "SCRATCH", "TC_STAGES"].map(private) == [true; 6]
        );
        // Otherwise a running monitor would report test packets.
        assert!(["EVENTS", "MONITOR", "MONITORED_SERVICES"].map(private) == [true; 3]);
        assert!(["SERVICES", "SLOTS", "BACKENDS", "NETWORKS", "DEVICES", "SUCCESSION"].map(private) == [false; 6]);
    }
}
