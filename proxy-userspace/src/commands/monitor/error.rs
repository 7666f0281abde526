//! Why events can't be followed.

use std::{io, path::PathBuf};

use aya::maps::MapError;

use crate::{
    commands::{
        get::InspectError,
        service_filter::{OtherNamespace, UnknownService},
    },
    maps::MapsError,
};

/// Why events can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The instance can't be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// A map can't be opened.
    #[error("open the maps of events")]
    Maps(#[from] MapsError),
    /// The instance was removed while it was monitored.
    #[error("monitor instance {instance:?}: its data plane has been removed, as `waggle cleanup` does")]
    Removed {
        /// The instance.
        instance: String,
    },
    /// Another monitor runs. A ring buffer has one reader.
    #[error("monitor instance {instance:?}: another `waggle monitor`{} reads its events; stop that one first", who(*.process))]
    Locked {
        /// The instance.
        instance: String,
        /// The id of its process; 0 if it is not known.
        process: u32,
    },
    /// The lock can't be taken.
    #[error("lock {}", .path.display())]
    Lock {
        /// The folder.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// A Service that is asked for isn't there.
    #[error(transparent)]
    UnknownService(#[from] UnknownService),
    /// A Service is asked for in another namespace than its own.
    #[error(transparent)]
    OtherNamespace(#[from] OtherNamespace),
    /// A map can't be written or read.
    #[error("access map {name} (run waggle as root)")]
    Access {
        /// The map's name.
        name: &'static str,
        /// The kernel's error.
        source: MapError,
    },
    /// The kernel's clock or the ring buffer can't be waited for.
    #[error("wait for events")]
    Wait(#[from] io::Error),
}

fn who(process: u32) -> String {
    if process == 0 { String::new() } else { format!(" (process {process})") }
}
