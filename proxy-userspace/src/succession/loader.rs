//! Loads the eBPF object with an instance's pinned maps. Maps of the right layout are kept with their content. For all others new
//! maps are created beside them: no map is ever reinterpreted. See [`succession`].

use std::{
    collections::hash_map::RandomState,
    fs::{self, File, TryLockError},
    hash::BuildHasher as _,
    io,
    path::{Path, PathBuf},
};

use aya::{Ebpf, EbpfError, EbpfLoader, maps::MapInfo, util::nr_cpus};
use aya_log::EbpfLogger;
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::AbortHandle,
};
use tracing::warn;

use crate::{
    config::{DataplaneConfig, MapSizes},
    logging::errors::Report,
    maps::{Layout, Maps, MapsError, PinFolder, layouts},
    node::bpf,
    succession::{self, Succession, SuccessionError},
};

pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/proxy-ebpf"));

/// This path exists if and only if the kernel supports MPTCP.
const MPTCP: &str = "/proc/sys/net/mptcp";

/// Why an instance can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bpffs folder can't be created.
    #[error("create {path} (mount a bpf file system with `mount -t bpf bpf /sys/fs/bpf`)")]
    PinFolder {
        /// The folder.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// Another agent runs the instance.
    #[error("another waggle runs instance {instance:?} on this machine; stop it, or choose another --instance")]
    Locked {
        /// The instance's name.
        instance: String,
    },
    /// The lock can't be taken.
    #[error("lock {path}")]
    Lock {
        /// The folder.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel refuses the eBPF object.
    #[error("load the eBPF object (Waggle needs Linux 6.1 or later with BTF, run as root)")]
    Object(#[from] EbpfError),
    /// The network namespace can't be identified.
    #[error("read the cookie of this network namespace")]
    Netns(#[source] io::Error),
    /// A pinned map can't be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The new maps can't be prepared beside the old ones.
    #[error(transparent)]
    Succession(#[from] SuccessionError),
}

/// An instance that only this agent may change, by a lock on its folder.
pub struct Instance {
    folder: PinFolder,
    /// The lock is held as long as this file is open.
    _lock: File,
}

impl Instance {
    /// Creates and locks the instance's folder, and finishes or discards what a start that died has left
    /// ([`succession::clear_up`]).
    pub fn open(name: &str, cgroup: &Path) -> Result<Self, LoadError> {
        let folder = PinFolder::new(name);
        fs::create_dir_all(folder.links()).map_err(|source| LoadError::PinFolder { path: folder.links(), source })?;
        let lock = lock(&folder, name)?;
        succession::clear_up(&folder, cgroup)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Returns the sizes of the instance's maps; 0 for maps that it does not have.
    pub fn sizes(&self) -> MapSizes {
        let entries = |map| MapInfo::from_pin(self.folder.map(map)).map_or(0, |info| info.max_entries());
        MapSizes::each(|quantity| entries(quantity.map()).saturating_mul(quantity.per_entry()))
    }

    /// Prepares a set of programs and maps. It shares the pinned maps that fit. The set that serves is not touched.
    pub fn load(&self, config: &DataplaneConfig) -> Result<Loaded, LoadError> {
        let layouts = wanted(config);
        let succession = Succession::begin(&self.folder, &layouts)?;
        let loaded = load_object(config, succession.folder(), &layouts).and_then(|ebpf| {
            succession.copy_ids(&layouts)?;
            Ok((ebpf, Maps::open(succession.folder())?))
        });
        let (ebpf, maps) = loaded.inspect_err(|_| succession::give_up(&self.folder))?;
        let is_first = succession.is_first() || !has_links(&self.folder);
        Ok(Loaded { set: NewSet { ebpf, succession }, maps, is_first })
    }

    /// Prepares a set with larger maps for a running agent. Their contents are copied later, by [`Succession::fill`].
    pub fn load_larger(folder: &PinFolder, config: &DataplaneConfig) -> Result<NewSet, LoadError> {
        let layouts = wanted(config);
        let succession = Succession::grow(folder, &layouts)?;
        let loaded = load_object(config, succession.folder(), &layouts);
        let loaded = loaded.and_then(|ebpf| Ok(succession.note_layouts(&layouts).map(|()| ebpf)?));
        let ebpf = loaded.inspect_err(|_| succession::give_up(folder))?;
        Ok(NewSet { ebpf, succession })
    }

    /// Returns the instance's folder, with the maps that serve.
    pub fn folder(&self) -> &PinFolder {
        &self.folder
    }
}

/// A set of programs and maps. Its maps exist; its programs are not loaded yet.
pub struct NewSet {
    /// The eBPF object.
    pub ebpf: Ebpf,
    /// The succession by which this set replaces the one that serves. Its folder has all pins until it ends.
    pub succession: Succession,
}

impl NewSet {
    /// Creates the maps again whose sizes differ from those in `config`. Nothing may have been written to them yet.
    pub fn enlarge(&mut self, config: &DataplaneConfig) -> Result<Maps, LoadError> {
        let (folder, layouts) = (self.succession.folder(), wanted(config));
        self.succession.unpin_others(&layouts)?;
        self.ebpf = load_object(config, folder, &layouts)?;
        Ok(Maps::open(folder)?)
    }
}

/// The result of loading an instance.
pub struct Loaded {
    /// The set of programs and maps.
    pub set: NewSet,
    /// Handles to the set's maps.
    pub maps: Maps,
    /// Whether no earlier set of programs is attached.
    pub is_first: bool,
}

/// Loads the object for an instance with maps of exactly the sizes in `config`.
pub fn load(config: &DataplaneConfig) -> Result<(Instance, Loaded), LoadError> {
    let instance = Instance::open(&config.instance, &config.cgroup)?;
    let loaded = instance.load(config)?;
    Ok((instance, loaded))
}

/// Returns the layouts that the maps must have.
fn wanted(config: &DataplaneConfig) -> Vec<Layout> {
    // If the number of CPUs can't be read here, creating the maps fails with the same error later.
    layouts(&config.sizes, nr_cpus().unwrap_or(1))
}

/// Creates the maps that are not pinned in the folder, and parses the programs, which are loaded later.
fn load_object(config: &DataplaneConfig, folder: &PinFolder, layouts: &[Layout]) -> Result<Ebpf, LoadError> {
    let netns = bpf::netns_cookie().map_err(LoadError::Netns)?;
    let pins: Vec<(&Layout, PathBuf)> = layouts.iter().map(|layout| (layout, folder.map(layout.name))).collect();
    let mut loader = EbpfLoader::new();
    let (flow_sets, connection_sets) = (config.sizes.flow_sets(), config.sizes.connection_sets());
    let has_mptcp = u8::from(Path::new(MPTCP).exists());
    loader.override_global("NODE_NETNS", &netns, true);
    loader.override_global("HAS_MPTCP", &has_mptcp, true);
    loader.override_global("FLOW_SETS", &flow_sets, true);
    loader.override_global("CONNECTION_SETS", &connection_sets, true);
    let secret = RandomState::new().hash_one(());
    loader.override_global("SECRET", &secret, true);
    loader.override_global("AYA_LOG_LEVEL", &config.log_level, true);
    for (name, value) in &config.constants {
        loader.override_global(name, value, true);
    }
    for (layout, pin) in &pins {
        loader.map_pin_path(layout.name, pin.as_path());
        if layout.max_entries != 0 {
            loader.map_max_entries(layout.name, layout.max_entries);
        }
    }
    Ok(loader.load(OBJECT)?)
}

/// Takes the lock that allows one agent per instance. It is on the open bpffs folder, so it ends with the agent.
fn lock(folder: &PinFolder, instance: &str) -> Result<File, LoadError> {
    let error = |source| LoadError::Lock { path: folder.path().into(), source };
    let file = File::open(folder.path()).map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LoadError::Locked { instance: instance.into() }),
        Err(TryLockError::Error(source)) => Err(error(source)),
    }
}

/// Whether programs of an earlier start are attached. An unreadable folder counts as empty.
fn has_links(folder: &PinFolder) -> bool {
    fs::read_dir(folder.links()).is_ok_and(|mut links| links.next().is_some())
}

/// Starts the task that writes what the programs log to the agent's log. If that fails, it logs a warning and returns `None`:
/// only these lines are then missing.
pub fn forward_logs(ebpf: &mut Ebpf) -> Option<AbortHandle> {
    let logger = EbpfLogger::init(ebpf).map_err(io::Error::other);
    #[expect(unsafe_code, reason = "tokio can't know whose descriptor it is")]
    // SAFETY: the logger owns the ring buffer's descriptor for as long as it lives.
    let waiting = logger.and_then(|logger| Ok(unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) }?));
    let unread = |error: &io::Error| warn!(error = %Report(error), "can't read the log of the eBPF programs");
    let mut logger = waiting.inspect_err(unread).ok()?;
    let task = tokio::spawn(async move {
        // It fails only when the runtime ends.
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
    Some(task.abort_handle())
}
