//! The read-only commands, which show the content of an instance's pinned maps by Kubernetes names. They need no running
//! agent and change nothing: every map is opened read-only.

mod affinity;
mod backends;
mod bpftool;
mod consistent;
mod devices;
mod drops;
mod endpoints;
mod fields;
mod flows;
mod label_selector;
mod labels;
mod maps;
mod members;
mod output;
pub(super) mod read;
mod selection;
pub(super) mod service_port;
pub(super) mod services;
pub(super) mod snapshot;
mod sort;
mod watch;

use std::{collections::BTreeMap, fmt, io, path::PathBuf};

use aya::{maps::MapError, programs::ProgramError};
use proxy_common::{ABI_VERSION, StoredName};

pub use self::{
    affinity::{AffinityRow, Clients, affinity},
    backends::{BackendRow, backends},
    bpftool::bpftool_commands,
    consistent::{Pins, read_consistently},
    devices::{DeviceRow, ProgramCell, devices},
    drops::{DropRow, drops, read_counters},
    endpoints::{EndpointRow, endpoints},
    fields::{FieldError, FieldSelector, NotAFieldSelector},
    flows::{Clock, FlowRow, Tracked, flows},
    label_selector::{LabelSelector, NotALabelSelector},
    labels::{KnownLabels, Labels},
    maps::{Fill, MapRow, maps},
    members::draining,
    output::{Columns, Look, Row, aligned, json, table, yaml},
    selection::{NotFound, Selected, Selection},
    service_port::{ServicePort, service_ports},
    services::{ListCell, ServiceRow, SourcesCell, services},
    snapshot::Snapshot,
    sort::SortBy,
    watch::{EventType, Seen, WatchEvent},
};
use crate::{
    attach::AttachError,
    maps::{MapsError, census::CensusError, encode},
    node::host::HostError,
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
    /// There is no BPF file system to find it in.
    #[error("find instance {instance:?}")]
    Host {
        /// The name of the requested instance.
        instance: String,
        /// What is missing.
        source: HostError,
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
    /// The loaded programs can't be listed.
    #[error("list the programs of the instance (run waggle as root)")]
    Programs {
        /// The kernel's error.
        source: ProgramError,
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

/// The namespace of a service port that the maps have no names of.
const NAMELESS: &str = "?";

/// A service port by its Kubernetes names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) namespace: String,
    pub(super) service: String,
    /// Empty for an unnamed port.
    pub(super) port: String,
}

impl Name {
    /// Returns the names of the port with a service id. If they are missing or damaged, shows the id itself.
    pub(super) fn of(id: u32, names: &BTreeMap<u32, StoredName>) -> Self {
        match names.get(&id).and_then(encode::port_id) {
            Some(port) => Self {
                namespace: port.service.namespace.to_string(),
                service: port.service.name.to_string(),
                port: port.port.name.to_string(),
            },
            None => Self { namespace: NAMELESS.to_owned(), service: format!("id={id}"), port: String::new() },
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
pub(super) mod sample;
#[cfg(test)]
mod tests;
