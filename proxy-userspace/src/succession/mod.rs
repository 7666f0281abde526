//! How one set of programs and maps takes the place of another, so that no packet is lost that the old set would have
//! served, whatever becomes of this start (docs/adr/0010). The old set is left as it is, and serves, until the new one is
//! complete; then each hook gets its new program in one step; then the old one goes.
//!
//! `next/` holds the new set's pins: those of maps, which may be the old ones once more, and under `next/programs/` those of
//! the programs for the hooks. `next/complete/` says that nothing is missing. A start that finds an incomplete `next/`
//! throws it away, one that finds a complete one puts it in place first: whoever died, one of both sets serves.

mod carry;
mod fate;
mod flows;
pub mod loader;
mod memories;
mod pins;
mod previous;
mod resume;
pub(crate) mod takeover;

use std::{collections::BTreeMap, io, path::PathBuf};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, MapInfo},
};
use proxy_common::{ABI_VERSION, MapName, Phase};
use tracing::{debug, info, warn};

use self::{
    carry::{Carry, Refused},
    fate::{Fate, Fates, fates},
    flows::FlowsError,
    memories::Copied,
    previous::Previous,
};
use crate::{
    attach::AttachError,
    maps::{Layout, MapsError, PinFolder, open},
    node::bpf,
};

/// Why a set can't take another one's place. The one that serves goes on.
#[derive(Debug, thiserror::Error)]
pub enum SuccessionError {
    /// A pin or folder can't be made, moved or removed.
    #[error("{action} {}: {source}", .path.display())]
    Pin {
        /// What was tried.
        action: &'static str,
        /// The pin or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A map can't be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// A map can't be read or written.
    #[error("access map {name}: {source}")]
    Map {
        /// The map.
        name: &'static str,
        /// What the kernel said.
        source: MapError,
    },
    /// Flows can't be carried over.
    #[error(transparent)]
    Flows(#[from] FlowsError),
    /// A program can't be pinned, or a hook can't be given another one.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

/// A new set of maps beside the one that serves, and what becomes of each map of that.
#[derive(Debug)]
pub struct Succession {
    old: PinFolder,
    new: PinFolder,
    fates: Fates,
    copied: Copied,
}

impl Succession {
    /// Clears up after a start that has died, and prepares the pins of a new set in an instance's folder: maps that fit are
    /// the old ones.
    pub fn begin(folder: &PinFolder, wanted: &[Layout]) -> Result<Self, SuccessionError> {
        resume::clear_up(folder, wanted)?;
        let found = find(folder, wanted);
        let succession =
            Self { old: folder.clone(), new: folder.next(), fates: fates(wanted, &found), copied: Copied::new() };
        succession.tell(!found.is_empty());
        let shared = succession.fates.iter().filter(|(_, fate)| **fate == Fate::Shared).map(|(name, _)| *name);
        pins::share(&succession.old, &succession.new, shared)?;
        Ok(succession)
    }

    /// Where the new maps are pinned.
    pub fn folder(&self) -> &PinFolder {
        &self.new
    }

    /// Whether there was no set before.
    pub fn is_first(&self) -> bool {
        self.fates.values().all(|fate| *fate == Fate::New)
    }

    /// Notes the layouts of the new maps, which exist now, and carries over what must be known before anything is planned.
    pub fn carry_ids(&self, wanted: &[Layout]) -> Result<(), SuccessionError> {
        let mut abi: Array<MapData, u32> = open(&self.new, "ABI")?;
        abi.set(0, ABI_VERSION, 0).map_err(|source| SuccessionError::Map { name: "ABI", source })?;
        let mut layouts: HashMap<MapData, MapName, u32> = open(&self.new, "LAYOUTS")?;
        for layout in wanted {
            let written = layouts.insert(MapName::new(layout.name), layout.since, 0);
            written.map_err(|source| SuccessionError::Map { name: "LAYOUTS", source })?;
        }
        report(&self.carry().ids()?);
        debug!("new maps are ready");
        Ok(())
    }

    /// Completes the new set, whose maps have been written and whose programs are loaded: from now on it may be put in
    /// place, by this start or the next. Packets that only the old set knows are handed to that.
    pub fn complete(&mut self, ebpf: &Ebpf) -> Result<(), SuccessionError> {
        let mut copied = Copied::new();
        report(&memories::copy(&self.carry(), &mut copied)?);
        self.copied = copied;
        report(&flows::fill(&self.carry())?);
        self.reserve()?;
        Previous::find(&self.old)?.follow(&self.new);
        self.set_phase(Phase::Following)?;
        pins::complete(&self.new, ebpf)?;
        debug!("new programs and maps are complete");
        Ok(())
    }

    /// Keeps both sets from giving the same source port to different flows: the old one gives even ones from now on, and all
    /// that it has given before are reserved.
    fn reserve(&self) -> Result<(), SuccessionError> {
        if self.is_first() {
            return Ok(());
        }
        // Releases that have no such map give any port: a collision takes two flows to one backend within milliseconds.
        if let Err(error) = set_phase(&self.old, Phase::Followed) {
            debug!(%error, "the programs that serve give any source port");
        }
        if let Err(error) = bpf::grace_period() {
            debug!(%error, "flows that begin right now may get any source port");
        }
        Ok(flows::reserve(&self.carry())?)
    }

    /// Ends the succession, when every hook has its new program: the new set alone has the old one's place.
    pub fn finish(&self) -> Result<(), SuccessionError> {
        self.lead()?;
        self.leave()
    }

    /// Lets the new set know all flows, and open new ones.
    fn lead(&self) -> Result<(), SuccessionError> {
        self.set_phase(Phase::Leading)?;
        debug!("new flows are opened by the new programs");
        // Programs that have read the phase before may still open flows over there.
        if let Err(error) = bpf::grace_period() {
            warn!(%error, "flows that begin right now may be cut");
        }
        report(&memories::catch_up(&self.carry(), &self.copied)?);
        report(&flows::catch_up(&self.carry())?);
        self.set_phase(Phase::Alone)?;
        debug!("the new programs know all flows");
        Ok(())
    }

    /// Takes the old set away.
    fn leave(&self) -> Result<(), SuccessionError> {
        previous::leave(&self.new)?;
        // Those that are over there must come back before stages are gone.
        if let Err(error) = bpf::grace_period() {
            warn!(%error, "some packets may be lost right now");
        }
        pins::put_in_place(&self.old, &self.new)
    }

    fn carry(&self) -> Carry<'_> {
        Carry { old: &self.old, new: &self.new, fates: &self.fates }
    }

    fn set_phase(&self, phase: Phase) -> Result<(), SuccessionError> {
        set_phase(&self.new, phase)
    }

    /// Says what becomes of the maps that were found.
    fn tell(&self, has_found: bool) {
        let with = |wanted: Fate| {
            let names = self.fates.iter().filter(|(_, fate)| **fate == wanted).map(|(name, _)| *name);
            names.collect::<Vec<_>>().join(", ")
        };
        let (carried, lost) = (with(Fate::Carried), with(Fate::Lost));
        if has_found && carried.is_empty() && lost.is_empty() {
            info!(folder = %self.old.path().display(), "keeping the pinned maps and their ids");
        }
        if !carried.is_empty() {
            info!(maps = carried, "rebuilding maps of another size: what they hold is carried over");
        }
        if !lost.is_empty() {
            warn!(maps = lost, "rebuilding maps of another layout: what they hold can't be carried over");
        }
    }
}

fn set_phase(folder: &PinFolder, phase: Phase) -> Result<(), SuccessionError> {
    let mut map: Array<MapData, u32> = open(folder, "SUCCESSION")?;
    map.set(0, phase as u32, 0).map_err(|source| SuccessionError::Map { name: "SUCCESSION", source })
}

/// Takes away what a start has prepared that has not come so far that it could serve. The set that serves gives any source
/// port again.
fn discard_incomplete(folder: &PinFolder) -> Result<(), SuccessionError> {
    pins::discard_incomplete(folder)?;
    let phase = || open::<Array<MapData, u32>>(folder, "SUCCESSION").ok()?.get(&0, 0).ok();
    if !pins::is_complete(&folder.next()) && phase() == Some(Phase::Followed as u32) {
        set_phase(folder, Phase::Alone)?;
    }
    Ok(())
}

/// Takes away what a start has prepared, if it has not come so far that it could serve.
pub fn give_up(folder: &PinFolder) {
    if let Err(error) = discard_incomplete(folder) {
        warn!(%error, "the next start will throw away what this one has prepared");
    }
}

/// The layouts of the maps that serve.
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
            // A version that nobody knows of.
            since: since(layout.name).unwrap_or(u32::MAX),
        };
        Some((layout.name, found))
    });
    found.collect()
}

fn report(refused: &Refused) {
    for (map, entries) in refused {
        warn!(
            map,
            entries, "some of what a map held finds no room in the new one: those flows, clients or ids begin anew"
        );
    }
}
