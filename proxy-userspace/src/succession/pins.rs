//! Creates the pins of a new set in `next/`, and moves them over the old ones at the end.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use proxy_common::MapName;

use super::SuccessionError;
use crate::{
    attach,
    maps::{PinFolder, open},
    node::bpf,
};

/// Whether the set can be put in place.
pub(super) fn is_complete(new: &PinFolder) -> bool {
    new.complete().exists()
}

/// Creates the folder of a new set, and pins these maps of the old set there.
pub(super) fn share<'a>(
    old: &PinFolder,
    new: &PinFolder,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), SuccessionError> {
    create(new.maps())?;
    for name in names {
        let path = new.map(name);
        let pinned = bpf::open_pin(&old.map(name)).and_then(|map| bpf::pin(map, &path));
        pinned.map_err(failed("share map", &path))?;
    }
    Ok(())
}

/// Removes the pins of maps.
pub(super) fn remove<'a>(folder: &PinFolder, names: impl Iterator<Item = &'a str>) -> Result<(), SuccessionError> {
    for name in names {
        let path = folder.map(name);
        absent(fs::remove_file(&path)).map_err(failed("remove", &path))?;
    }
    Ok(())
}

/// Pins the programs for the hooks, and marks the set as complete.
pub(super) fn complete(new: &PinFolder, ebpf: &Ebpf) -> Result<(), SuccessionError> {
    create(&new.programs())?;
    attach::pin_programs(ebpf, &new.programs())?;
    create(&new.complete())
}

/// Moves the pins of the new set over those of the old one, and removes pins that only the old set had. It can be
/// repeated after an interruption at any point.
pub(super) fn put_in_place(old: &PinFolder, new: &PinFolder) -> Result<(), SuccessionError> {
    for path in files(new.maps())? {
        let to = old.maps().join(path.file_name().unwrap_or_default());
        fs::rename(&path, &to).map_err(failed("put in place", &path))?;
    }
    remove_foreign(old)?;
    // The mark goes first: a set without programs must not look complete.
    absent(fs::remove_dir(new.complete())).map_err(failed("remove", &new.complete()))?;
    discard_incomplete(old)
}

/// Removes the pins of maps that the set in a folder does not have.
fn remove_foreign(folder: &PinFolder) -> Result<(), SuccessionError> {
    let layouts: HashMap<MapData, MapName, u32> = open(folder, "LAYOUTS")?;
    for path in files(folder.maps())? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if layouts.get(&MapName::new(&name), 0).is_err() {
            absent(fs::remove_file(&path)).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes the folder of an incomplete set, if there is one.
pub(super) fn discard_incomplete(folder: &PinFolder) -> Result<(), SuccessionError> {
    let new = folder.next();
    if !new.maps().exists() || is_complete(&new) {
        return Ok(());
    }
    remove_all(new.maps())
}

/// Removes a folder with everything in it, whichever release created it.
fn remove_all(folder: &Path) -> Result<(), SuccessionError> {
    for (path, is_folder) in entries(folder)? {
        if is_folder {
            remove_all(&path)?;
        } else {
            absent(fs::remove_file(&path)).map_err(failed("remove", &path))?;
        }
    }
    absent(fs::remove_dir(folder)).map_err(failed("remove", folder))
}

/// Returns the pins in a folder.
fn files(folder: &Path) -> Result<impl Iterator<Item = PathBuf>, SuccessionError> {
    Ok(entries(folder)?.into_iter().filter(|(_, is_folder)| !is_folder).map(|(path, _)| path))
}

/// Returns the paths in a folder, and whether each is a folder. Reads them all first, since removing while listing may skip some.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>, SuccessionError> {
    let list = || {
        let entries: Vec<fs::DirEntry> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
        entries.into_iter().map(|entry| Ok((entry.path(), entry.file_type()?.is_dir()))).collect::<io::Result<_>>()
    };
    list().map_err(failed("list", folder))
}

fn create(folder: &Path) -> Result<(), SuccessionError> {
    fs::create_dir(folder).map_err(failed("make folder", folder))
}

fn absent(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> SuccessionError {
    move |source| SuccessionError::Pin { action, path: path.into(), source }
}
