//! Loads the eBPF object over an instance's pinned maps. Pinned maps of the right layout are kept with
//! their content; others are made anew beside them, never reinterpreted: see [`succession`].

use std::{
    collections::hash_map::RandomState,
    fs::{self, File, TryLockError},
    hash::BuildHasher as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use aya::{Ebpf, EbpfError, EbpfLoader, util::nr_cpus};
use aya_log::EbpfLogger;
use tracing::warn;

use crate::{
    config::DataplaneConfig,
    maps::{Layout, Maps, MapsError, PinFolder, layouts},
    node::bpf,
    succession::{self, Succession, SuccessionError},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/proxy-ebpf"));

/// There if and only if the kernel knows MPTCP.
const MPTCP: &str = "/proc/sys/net/mptcp";

/// Why an instance can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bpffs folder can't be made.
    #[error("create {path}: {source}; mount a bpf file system with `mount -t bpf bpf /sys/fs/bpf`")]
    PinFolder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another agent has the instance.
    #[error("another waggle runs instance {instance:?} on this machine; stop it, or choose another --instance")]
    Locked {
        /// The instance.
        instance: String,
    },
    /// The lock can't be taken.
    #[error("lock {path}: {source}")]
    Lock {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refuses the object.
    #[error("load the eBPF object: {0}; Waggle needs Linux 6.1 or later with BTF, run as root")]
    Object(#[from] EbpfError),
    /// The network namespace can't be identified.
    #[error("read the cookie of this network namespace: {0}")]
    Netns(io::Error),
    /// A pinned map can't be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The new maps can't be prepared beside those that serve.
    #[error(transparent)]
    Succession(#[from] SuccessionError),
}

/// An instance whose maps exist and whose programs are not yet loaded.
pub struct Loaded {
    /// The eBPF object.
    pub ebpf: Ebpf,
    /// Its maps.
    pub maps: Maps,
    /// Where everything is pinned, until the succession ends.
    pub folder: PinFolder,
    /// How it takes the place of what serves now.
    pub succession: Succession,
    /// Nothing of it served before, or nothing is left of what did.
    pub is_first: bool,
    /// The instance's lock, held as long as this is open.
    pub lock: File,
}

/// Loads the object for an instance, over those of its pinned maps that fit. What serves is left as it is.
pub fn load(config: &DataplaneConfig) -> Result<Loaded, LoadError> {
    let folder = PinFolder::new(&config.instance);
    fs::create_dir_all(folder.links()).map_err(|source| LoadError::PinFolder { path: folder.links(), source })?;
    let lock = lock(&folder, &config.instance)?;
    // What can't be read here is asked for again, and missed, when maps are made.
    let layouts = layouts(&config.sizes, nr_cpus().unwrap_or(1));
    let succession = Succession::begin(&folder, &layouts)?;
    let loaded = load_object(config, succession.folder(), &layouts).and_then(|ebpf| {
        succession.carry_ids(&layouts)?;
        Ok((ebpf, Maps::open(succession.folder())?))
    });
    let (ebpf, maps) = loaded.inspect_err(|_| succession::give_up(&folder))?;
    let is_first = succession.is_first() || !has_links(&folder);
    Ok(Loaded { ebpf, maps, folder: succession.folder().clone(), succession, is_first, lock })
}

/// Makes the maps that are not pinned in the folder, and finds the programs.
fn load_object(config: &DataplaneConfig, folder: &PinFolder, layouts: &[Layout]) -> Result<Ebpf, LoadError> {
    let netns = bpf::netns_cookie().map_err(LoadError::Netns)?;
    let pins: Vec<(&Layout, PathBuf)> = layouts.iter().map(|layout| (layout, folder.map(layout.name))).collect();
    let mut loader = EbpfLoader::new();
    let sets = config.sizes.flow_sets();
    let has_mptcp = u8::from(Path::new(MPTCP).exists());
    loader.override_global("NODE_NETNS", &netns, true);
    loader.override_global("HAS_MPTCP", &has_mptcp, true);
    loader.override_global("FLOW_SETS", &sets, true);
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

/// One agent an instance: the lock is on the bpffs folder, so it dies with the agent.
fn lock(folder: &PinFolder, instance: &str) -> Result<File, LoadError> {
    let error = |source| LoadError::Lock { path: folder.path().into(), source };
    let file = File::open(folder.path()).map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LoadError::Locked { instance: instance.into() }),
        Err(TryLockError::Error(source)) => Err(error(source)),
    }
}

/// Whether programs of an earlier start are attached. A folder that can't be read has none.
fn has_links(folder: &PinFolder) -> bool {
    fs::read_dir(folder.links()).is_ok_and(|mut links| links.next().is_some())
}

/// Shows what the programs log as log lines of the agent, a moment later. Without it nothing but those
/// lines is lost.
pub fn forward_logs(ebpf: &mut Ebpf) {
    const PERIOD: Duration = Duration::from_millis(100);
    let mut logger = match EbpfLogger::init(ebpf) {
        Ok(logger) => logger,
        Err(error) => return warn!(%error, "can't read the log of the eBPF programs"),
    };
    tokio::spawn(async move {
        loop {
            logger.flush();
            tokio::time::sleep(PERIOD).await;
        }
    });
}
