//! Reads an instance's maps although they may be replaced meanwhile.
//!
//! A look opens one pin after the other. These can interleave with it:
//!
//! - A succession (maps have grown, or an agent has started with other sizes) moves the pins of the new set over those of the old
//!   one, one after the other. Each path names a map all the time, but a look may open some maps of either set. Both sets have
//!   equal ids, but only the new one is written to: at worst a Service is shown with the backends of another, or a change is
//!   taken back for one look. So a look counts only if all pins were equal before and after it, and it was not made while a
//!   succession had moved only some of them.
//! - The first start of an agent puts its pins into an empty folder: then some maps are missing.
//! - An agent of another release replaces maps by those of another layout: opening them fails ([`MapsError::Type`]), and later
//!   looks find the other ABI version, which ends them.
//! - `waggle cleanup` removes one pin after the other, and then the folder: some maps are missing, then there is no instance.
//!
//! Failures of these kinds are transient ([`is_transient`]): the look is repeated for a while. A map that has been
//! opened stays as long as its handle, so nothing fails later. What the agent writes while the maps are read is another matter:
//! see [`Snapshot`](super::Snapshot).
//!
//! [`MapsError::Type`]: crate::maps::MapsError::Type

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    os::unix::fs::DirEntryExt as _,
    path::Path,
};

use aya::maps::MapError;

use super::InspectError;
use crate::{
    attach::AttachError,
    maps::{MapsError, PinFolder, census::CensusError},
};

/// The pinned maps of an instance at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    /// The inode of each pin. A map that replaces another has another inode.
    inodes: BTreeMap<OsString, u64>,
    /// Some pins of a complete new set have been moved, and some have not.
    is_half_moved: bool,
}

impl Pins {
    /// Returns the pins in an instance's folder: none if it can't be read, since opening a map then says why.
    pub fn read(folder: &PinFolder) -> Self {
        let (inodes, next) = (inodes(folder.maps()), folder.next());
        // Until pins are moved, the new set has all that the old one has.
        let has_moved = || {
            let left = self::inodes(next.maps());
            inodes.keys().any(|name| !left.contains_key(name))
        };
        Self { is_half_moved: next.complete().exists() && has_moved(), inodes }
    }
}

fn inodes(folder: &Path) -> BTreeMap<OsString, u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let pins = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
    pins.map(|entry| (entry.file_name(), entry.ino())).collect()
}

/// Calls `read` until no maps were replaced meanwhile, and until it does not fail with a transient error: at most `tries` times,
/// with a `pause` in between. Then the last result counts: where an agent has died while it moved pins, both sets stay mixed
/// until the next start.
pub fn read_consistently<T>(
    tries: u32,
    pins: impl Fn() -> Pins,
    read: impl Fn() -> Result<T, InspectError>,
    pause: impl Fn(),
) -> Result<T, InspectError> {
    let once = || {
        let before = pins();
        let result = read();
        let is_final = match &result {
            Ok(_) => !before.is_half_moved && pins() == before,
            Err(error) => !is_transient(error),
        };
        (result, is_final)
    };
    for _ in 1..tries {
        let (result, is_final) = once();
        if is_final {
            return result;
        }
        pause();
    }
    once().0
}

/// Whether the next try may succeed, or may fail with a better reason.
fn is_transient(error: &InspectError) -> bool {
    match error {
        InspectError::Maps(error) | InspectError::Count(CensusError::Open(error)) => match error {
            MapsError::Open { source: MapError::IoError(cause), .. } => is_absent(cause),
            MapsError::Open { source: MapError::SyscallError(call), .. } => is_absent(&call.io_error),
            // Its type or the sizes of its keys or values are those of another release.
            MapsError::Type { .. } => true,
            MapsError::Open { .. } | MapsError::Mmap { .. } => false,
        },
        InspectError::Hooks(AttachError::List { source, .. }) => is_absent(source),
        InspectError::Missing { .. }
        | InspectError::Host { .. }
        | InspectError::Folder { .. }
        | InspectError::Abi { .. }
        | InspectError::Hooks(_)
        | InspectError::Count(CensusError::Read { .. })
        | InspectError::Clock { .. }
        | InspectError::Programs { .. }
        | InspectError::Read { .. } => false,
    }
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn absent() -> InspectError {
        let source = MapError::from(io::Error::from(ErrorKind::NotFound));
        InspectError::Maps(MapsError::Open { path: "/pins/slots".into(), source })
    }

    fn missing() -> InspectError {
        InspectError::Missing { instance: "x".into(), root: "/pins".into(), instances: vec![] }
    }

    /// The pins of a set whose maps have this inode.
    fn set(inode: u64, is_half_moved: bool) -> Pins {
        Pins { inodes: [(OsString::from("slots"), inode)].into(), is_half_moved }
    }

    /// Reads with at most `tries` tries. Each try is the pins before and after it, and its result. Returns the result, and the
    /// number of tries.
    fn read(tries: u32, steps: Vec<([Pins; 2], Result<u32, InspectError>)>) -> (Result<u32, InspectError>, usize) {
        let (stamps, results): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        let (results, count) = (RefCell::new(results.into_iter()), Cell::new(0));
        let has_read = Cell::new(false);
        let pins = || stamps[count.get()][usize::from(has_read.get())].clone();
        let next = || {
            has_read.set(true);
            results.borrow_mut().next().unwrap()
        };
        let pause = || {
            has_read.set(false);
            count.set(count.get() + 1);
        };
        (read_consistently(tries, pins, next, pause), count.get() + 1)
    }

    #[test]
    fn a_look_during_which_maps_are_replaced_is_repeated() {
        let (old, half, new) = (set(1, false), set(2, true), set(3, false));
        let steps = vec![
            ([old, half.clone()], Ok(1)),
            ([half.clone(), half.clone()], Ok(2)),
            ([half, new.clone()], Err(absent())),
            ([new.clone(), new], Ok(4)),
        ];
        let (result, tries) = read(9, steps);
        assert_eq!((result.unwrap(), tries), (4, 4));
    }

    #[test]
    fn after_the_last_try_its_result_counts() {
        let half = || [set(2, true), set(2, true)];
        assert_eq!(read(2, vec![(half(), Ok(1)), (half(), Ok(2))]).0.unwrap(), 2);
        let (result, tries) = read(2, vec![(half(), Err(absent())), (half(), Err(absent()))]);
        assert!(matches!(result, Err(InspectError::Maps(_))) && tries == 2);
    }

    #[test]
    fn what_does_not_pass_ends_the_look() {
        let whole = || [set(1, false), set(1, false)];
        let folder = InspectError::Folder { path: "/pins".into(), source: ErrorKind::PermissionDenied.into() };
        let refused = MapError::from(io::Error::from(ErrorKind::PermissionDenied));
        let refused = InspectError::Maps(MapsError::Open { path: "/pins/slots".into(), source: refused });
        for error in [missing(), folder, InspectError::Abi { instance: "x".into(), found: 1 }, refused] {
            let (result, tries) = read(9, vec![(whole(), Err(error))]);
            assert!(result.is_err() && tries == 1);
        }
        let size = MapError::InvalidValueSize { size: 8, expected: 16 };
        let other_layout = InspectError::Maps(MapsError::Type { name: "SLOTS", source: size });
        let (result, tries) = read(9, vec![(whole(), Err(other_layout)), (whole(), Err(missing()))]);
        assert!(matches!(result, Err(InspectError::Missing { .. })) && tries == 2);
    }

    #[test]
    fn pins_differ_while_and_after_they_are_moved() {
        let root = tempfile::tempdir().unwrap();
        // An absolute path replaces the root that it is joined to.
        let folder = PinFolder::new(&root.path().to_string_lossy());
        let next = folder.next();
        fs::create_dir_all(next.complete()).unwrap();
        let names = ["services", "slots"];
        for path in names.iter().flat_map(|name| [folder.map(name), next.map(name)]) {
            fs::write(path, "").unwrap();
        }
        let before = Pins::read(&folder);
        assert!(!before.is_half_moved && before.inodes.len() == 2);
        fs::rename(next.map("services"), folder.map("services")).unwrap();
        let between = Pins::read(&folder);
        assert!(between.is_half_moved && between != before);
        fs::rename(next.map("slots"), folder.map("slots")).unwrap();
        fs::remove_dir(next.complete()).unwrap();
        let after = Pins::read(&folder);
        assert!(!after.is_half_moved && after != before);
        assert_eq!(after, Pins::read(&folder));
    }
}
