//! The read-only commands, which show the content of an instance's pinned maps by Kubernetes names. They need no running
//! agent and change nothing: every map is opened read-only.

mod affinity;
mod backends;
mod devices;
mod drops;
mod endpoints;
mod flows;
mod maps;
mod output;
mod read;
mod selection;
mod services;
mod snapshot;

use std::{collections::BTreeMap, fmt, io, path::PathBuf};

use aya::maps::MapError;
use proxy_common::{ABI_VERSION, StoredName};

pub(super) use self::services::{is_owner, protocol};
pub use self::{
    affinity::{AffinityRow, Clients, affinity},
    backends::{BackendRow, backends},
    devices::{DeviceRow, Mode, ProgramCell, devices},
    drops::{DropRow, drops, read_counters},
    endpoints::{EndpointRow, endpoints},
    flows::{Clock, FlowRow, Tracked, flows},
    maps::{Fill, MapRow, maps},
    output::{Columns, Look, Row, json, table, yaml},
    selection::{NotFound, Selection},
    services::{ListCell, ServiceRow, SourcesCell, services},
    snapshot::Snapshot,
};
use crate::{
    attach::AttachError,
    maps::{MapsError, census::CensusError, encode},
};

/// Why an instance can't be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The instance has no folder.
    #[error(
        "find instance {instance:?}: it is not on this machine; there {}; `ls {}` lists them, --instance chooses one",
        found(.instances), .root.display()
    )]
    Missing {
        /// The name of the requested instance.
        instance: String,
        /// The folder of the instances.
        root: PathBuf,
        /// The existing instances.
        instances: Vec<String>,
    },
    /// The folder can't be read.
    #[error("read {} (run waggle as root)", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The maps were written by another version of Waggle.
    #[error(
        "read instance {instance:?}: its maps have layout version {found}, and this waggle knows version {}; \
         use the waggle that runs the instance",
        ABI_VERSION
    )]
    Abi {
        /// The instance.
        instance: String,
        /// The version in its map of the name ABI.
        found: u32,
    },
    /// A map can't be opened.
    #[error("open the maps of an incomplete instance (start its agent again, or remove it with `waggle cleanup`)")]
    Maps(#[from] MapsError),
    /// The pinned hooks can't be listed.
    #[error(transparent)]
    Hooks(#[from] AttachError),
    /// Entries can't be counted.
    #[error(transparent)]
    Count(#[from] CensusError),
    /// The time can't be read.
    #[error("read the kernel's clock")]
    Clock {
        /// The kernel's error.
        source: io::Error,
    },
    /// A map can't be read.
    #[error("read map {name}")]
    Read {
        /// The map.
        name: &'static str,
        /// The kernel's error.
        source: MapError,
    },
}

fn found(instances: &[String]) -> String {
    match instances {
        [] => "are none".to_owned(),
        [one] => format!("is {one}"),
        many => format!("are {}", many.join(", ")),
    }
}

/// A service port by its Kubernetes names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The namespace; `?` if the maps don't contain it.
    pub namespace: String,
    /// The Service's name; `id=N` if the maps don't contain it.
    pub service: String,
    /// Empty for an unnamed port.
    pub port: String,
}

impl Name {
    /// Returns the names of the port with a service id. If they are missing or damaged, shows the id itself.
    pub fn of(id: u32, names: &BTreeMap<u32, StoredName>) -> Self {
        match names.get(&id).and_then(encode::port_id) {
            Some(port) => Self {
                namespace: port.service.namespace.to_string(),
                service: port.service.name.to_string(),
                port: port.port.name.to_string(),
            },
            None => Self { namespace: "?".to_owned(), service: format!("id={id}"), port: String::new() },
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.service)?;
        if self.port.is_empty() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests;
