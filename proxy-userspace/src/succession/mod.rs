//! Replaces one set of programs and maps by another without losing a packet that the old set would have served, at whatever
//! point this start may die (docs/adr/0010). The old set is not touched and serves until the new one is complete. Then each hook
//! gets its new program atomically, and the old set is removed.
//!
//! `next/` holds the pins of the new set: its maps, some of which may be the old ones, and under `next/programs/` the programs
//! for the hooks. `next/complete/` marks a complete set. `next/beside/` holds links that keep programs of the old set on a cgroup
//! beside the new ones until the end. A start that finds an incomplete `next/` discards it; one that finds a complete `next/`
//! first puts it in place. So one of the two sets serves, wherever a start dies.

mod client_state;
mod flows;
mod growth;
pub(crate) mod import;
pub mod loader;
mod map_copy;
mod migration;
mod pins;
mod previous;
pub(crate) mod private_copy;
mod resume;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, MapInfo},
};
use proxy_common::{ABI_VERSION, MapName, Phase};
use tracing::{debug, info, warn};

use self::{
    client_state::FirstCopy,
    flows::FlowsError,
    map_copy::{MapCopy, Refused},
    migration::{Migration, Migrations, migrations},
    previous::PreviousPrograms,
};
use crate::{
    attach::AttachError,
    logging::errors::Report,
    maps::{Layout, MapsError, PinFolder, open},
    node::bpf,
};

/// Why a set can't replace another. The old set keeps serving.
#[derive(Debug, thiserror::Error)]
pub enum SuccessionError {
    /// A pin or folder can't be created, moved or removed.
    #[error("{action} {}", .path.display())]
    Pin {
        /// The operation.
        action: &'static str,
        /// The pin or folder.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// A map can't be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// A map can't be read or written.
    #[error("access map {name}")]
    Map {
        /// The map's name.
        name: &'static str,
        /// The kernel's error.
        source: MapError,
    },
    /// Flows can't be copied.
    #[error(transparent)]
    Flows(#[from] FlowsError),
    /// A program can't be pinned, or a hook's program can't be replaced.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

/// A new set of maps beside the one that serves, and the migration of each map.
#[derive(Debug)]
pub struct Succession {
    old: PinFolder,
    new: PinFolder,
    migrations: Migrations,
    copied: FirstCopy,
}

impl Succession {
    /// Prepares the pins of a new set in an instance's folder. Maps that fit are shared with the old set.
    pub fn begin(folder: &PinFolder, wanted: &[Layout]) -> Result<Self, SuccessionError> {
        let found = find(folder, wanted);
        let succession = Self::share(folder, migrations(wanted, &found))?;
        succession.log_migrations(!found.is_empty());
        Ok(succession)
    }

    fn share(folder: &PinFolder, migrations: Migrations) -> Result<Self, SuccessionError> {
        let succession = Self { old: folder.clone(), new: folder.next(), migrations, copied: FirstCopy::new() };
        let is_shared = |(_, migration): &(_, &Migration)| **migration == Migration::Shared;
        let shared = succession.migrations.iter().filter(is_shared).map(|(name, _)| *name);
        pins::share(&succession.old, &succession.new, shared)?;
        Ok(succession)
    }

    /// Returns the folder in which the new maps are pinned.
    pub fn folder(&self) -> &PinFolder {
        &self.new
    }

    /// Whether there is no earlier set.
    pub fn is_first(&self) -> bool {
        self.migrations.values().all(|migration| *migration == Migration::New)
    }

    /// Whether programs that serve already read what the agent writes: the old set shares its configuration.
    pub fn is_in_force(&self) -> bool {
        self.migrations.get("SERVICES") == Some(&Migration::Shared)
    }

    /// Stores the layouts of the new maps, which must exist, and copies the ids that the first plan must know.
    pub fn copy_ids(&self, wanted: &[Layout]) -> Result<(), SuccessionError> {
        self.note_layouts(wanted)?;
        report(&self.map_copy().ids()?);
        debug!("new maps are ready");
        Ok(())
    }

    /// Stores the layouts of the new maps.
    pub fn note_layouts(&self, wanted: &[Layout]) -> Result<(), SuccessionError> {
        let mut abi: Array<MapData, u32> = open(&self.new, "ABI")?;
        abi.set(0, ABI_VERSION, 0).map_err(|source| SuccessionError::Map { name: "ABI", source })?;
        let mut layouts: HashMap<MapData, MapName, u32> = open(&self.new, "LAYOUTS")?;
        for layout in wanted {
            let written = layouts.insert(MapName::new(layout.name), layout.since, 0);
            written.map_err(|source| SuccessionError::Map { name: "LAYOUTS", source })?;
        }
        Ok(())
    }

    /// Completes the new set: copies what programs have written, and marks the set as complete ([`Self::mark_complete`]). Its
    /// maps must be written and its programs loaded.
    pub fn complete(&mut self, ebpf: &Ebpf) -> Result<(), SuccessionError> {
        self.copy_state()?;
        self.mark_complete(ebpf)
    }

    /// Copies what the programs have written. From then on the new programs hand packets of flows that only the old set knows to
    /// the old programs.
    fn copy_state(&mut self) -> Result<(), SuccessionError> {
        // Flows are copied last, right before the hooks get their new programs: if the old programs end or open a flow after its
        // copy, the new ones have its earlier state and may cut it. A socket that sends its first datagram after its copy may
        // only choose its backend again, which is less harmful.
        let mut copied = FirstCopy::new();
        report(&client_state::copy(&self.map_copy(), &mut copied)?);
        self.copied = copied;
        report(&flows::fill(&self.map_copy())?);
        self.reserve()?;
        PreviousPrograms::find(&self.old)?.install_in(&self.new);
        self.set_phase(Phase::Following)
    }

    /// Marks the new set as complete: from now on this start or the next one may put it in place.
    pub fn mark_complete(&self, ebpf: &Ebpf) -> Result<(), SuccessionError> {
        pins::complete(&self.new, ebpf)?;
        debug!("new programs and maps are complete");
        Ok(())
    }

    /// Keeps the two sets from using one source port for different flows. From now on the old set uses even ports only, and all
    /// ports that its flows use are reserved in the new set.
    fn reserve(&self) -> Result<(), SuccessionError> {
        if self.is_first() {
            return Ok(());
        }
        // Programs of earlier releases, which lack this map, use any port. A collision needs two flows to one backend within
        // milliseconds.
        if let Err(error) = set_phase(&self.old, Phase::Followed) {
            debug!(error = %Report(&error), "the old programs use any source port");
        }
        if let Err(error) = bpf::grace_period() {
            debug!(error = %Report(&error), "flows that begin now may get any source port");
        }
        Ok(flows::reserve(&self.map_copy())?)
    }

    /// Ends the succession after every hook has got its new program: the new set replaces the old one.
    pub fn finish(&self) -> Result<(), SuccessionError> {
        self.set_leading()?;
        self.detach_previous()
    }

    /// Makes the new set open new flows, and copies the flows that it lacks.
    fn set_leading(&self) -> Result<(), SuccessionError> {
        self.set_phase(Phase::Leading)?;
        debug!("new flows are opened by the new programs");
        // Programs that read the phase before the change may still open flows in the old set.
        if let Err(error) = bpf::grace_period() {
            warn!(error = %Report(&error), "flows that begin now may be cut");
        }
        report(&client_state::catch_up(&self.map_copy(), &self.copied)?);
        report(&flows::catch_up(&self.map_copy())?);
        self.set_phase(Phase::Alone)?;
        debug!("the new programs know all flows");
        Ok(())
    }

    /// Removes the old set.
    fn detach_previous(&self) -> Result<(), SuccessionError> {
        previous::remove_from(&self.new)?;
        // Old programs that are still handling a packet must finish before their stages are removed.
        if let Err(error) = bpf::grace_period() {
            warn!(error = %Report(&error), "some packets may be lost now");
        }
        pins::put_in_place(&self.old, &self.new)
    }

    fn map_copy(&self) -> MapCopy<'_> {
        MapCopy { old: &self.old, new: &self.new, migrations: &self.migrations }
    }

    fn set_phase(&self, phase: Phase) -> Result<(), SuccessionError> {
        set_phase(&self.new, phase)
    }

    /// Logs what happens to the maps that were found.
    fn log_migrations(&self, has_found: bool) {
        let with = |wanted: Migration| {
            let names = self.migrations.iter().filter(|(_, migration)| **migration == wanted).map(|(name, _)| *name);
            names.collect::<Vec<_>>().join(", ")
        };
        let (copied, discarded) = (with(Migration::Copied), with(Migration::Discarded));
        if has_found && copied.is_empty() && discarded.is_empty() {
            info!(folder = %self.old.path().display(), "keeping the pinned maps and their ids");
        }
        if !copied.is_empty() {
            info!(maps = copied, "rebuilding maps of another size: their content is copied");
        }
        if !discarded.is_empty() {
            warn!(maps = discarded, "rebuilding maps of another layout: their content is lost");
        }
    }
}

fn set_phase(folder: &PinFolder, phase: Phase) -> Result<(), SuccessionError> {
    let mut map: Array<MapData, u32> = open(folder, "SUCCESSION")?;
    map.set(0, phase as u32, 0).map_err(|source| SuccessionError::Map { name: "SUCCESSION", source })
}

/// Removes an incomplete set that a start has prepared. The set that serves may then use any source port again.
fn discard_incomplete(folder: &PinFolder) -> Result<(), SuccessionError> {
    pins::discard_incomplete(folder)?;
    let phase = || open::<Array<MapData, u32>>(folder, "SUCCESSION").ok()?.get(&0, 0).ok();
    if !pins::is_complete(&folder.next()) && phase() == Some(Phase::Followed as u32) {
        set_phase(folder, Phase::Alone)?;
    }
    Ok(())
}

/// Puts the set in place that an earlier start has completed before it died, or discards an incomplete one.
pub fn clear_up(folder: &PinFolder, cgroup: &Path) -> Result<(), SuccessionError> {
    resume::clear_up(folder, cgroup)
}

/// Removes the set that this start has prepared, unless it is complete. Logs a failure.
pub fn give_up(folder: &PinFolder) {
    if let Err(error) = discard_incomplete(folder) {
        warn!(error = %Report(&error), "can't remove what this start has prepared: the next start will");
    }
}

/// Returns the layouts of the maps in a folder.
fn find(folder: &PinFolder, wanted: &[Layout]) -> BTreeMap<&'static str, Layout> {
    let layouts: Option<HashMap<MapData, MapName, u32>> = open(folder, "LAYOUTS").ok();
    let abi = || open::<Array<MapData, u32>>(folder, "ABI").ok()?.get(&0, 0).ok();
    let since = |name| match &layouts {
        Some(layouts) => layouts.get(&MapName::new(name), 0).ok(),
        None => abi(),
    };
    let found = wanted.iter().filter_map(|layout| {
        let info = MapInfo::from_pin(folder.map(layout.name)).ok()?;
        let found = Layout {
            name: layout.name,
            key_size: info.key_size(),
            value_size: info.value_size(),
            max_entries: info.max_entries(),
            // No release has this version, so the map's content will be discarded.
            since: since(layout.name).unwrap_or(u32::MAX),
        };
        Some((layout.name, found))
    });
    found.collect()
}

fn report(refused: &Refused) {
    for (map, entries) in refused {
        warn!(map, entries, "some entries of a map don't fit into the new one: these flows, clients or ids start over");
    }
}
