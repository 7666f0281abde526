//! Stores the allocations of Services, so that they are the same after a restart.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
};

use proxy_common::Protocol;
use serde::{Deserialize, Serialize};

use crate::objects::{Service, ServicePort};

const VERSION: u32 = 1;

/// Allocations by `namespace/name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocations {
    version: u32,
    services: BTreeMap<String, ServiceAllocations>,
}

/// The allocations of one Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceAllocations {
    /// Cluster addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// Node ports, by the Service port's [`port_key`].
    pub node_ports: BTreeMap<String, i32>,
    /// The `healthCheckNodePort`.
    pub health_check: Option<i32>,
}

/// Why the file of allocations can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AllocationsError {
    /// The file can't be read.
    #[error("read allocations {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is malformed.
    #[error("read allocations {} (new ones are made)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// The file was written by another version.
    #[error("read allocations {}: version {version} is unknown; new ones are made", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The file's version.
        version: u32,
    },
    /// The file can't be written.
    #[error("write allocations {} (they may change at the next start)", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Returns the key of a Service's port: number and protocol, which are unique. The name may change.
pub(super) fn port_key(port: &ServicePort) -> String {
    format!("{}/{}", port.protocol.as_deref().unwrap_or(Protocol::Tcp.name()), port.port)
}

impl Allocations {
    /// Reads the file at `path`; empty if there is none.
    pub fn load(path: &Path) -> Result<Self, AllocationsError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(AllocationsError::Read { path: path.to_owned(), source }),
        };
        let damaged = |source| AllocationsError::Damaged { path: path.to_owned(), source };
        let allocations: Self = serde_json::from_slice(&text).map_err(damaged)?;
        if allocations.version == VERSION {
            Ok(allocations)
        } else {
            Err(AllocationsError::Version { path: path.to_owned(), version: allocations.version })
        }
    }

    /// Writes the file at `path` atomically: a reader, or a start after a crash, finds either the old or the new content.
    pub fn save(&self, path: &Path) -> Result<(), AllocationsError> {
        self.write(path).map_err(|source| AllocationsError::Write { path: path.to_owned(), source })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(&Self { version: VERSION, services: self.services.clone() })?)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    }

    /// Adds the allocations of `other` for Services that this value does not contain.
    pub fn keep(&mut self, other: &Self) {
        for (key, given) in &other.services {
            self.services.entry(key.clone()).or_insert_with(|| given.clone());
        }
    }

    pub(super) fn of(&self, key: &str) -> Option<&ServiceAllocations> {
        self.services.get(key)
    }

    pub(super) fn remember(&mut self, key: String, service: &Service) {
        let spec = &service.spec;
        let ports = spec.ports.iter().flatten();
        let given = ServiceAllocations {
            addresses: spec.cluster_ips.iter().flatten().filter_map(|ip| ip.parse().ok()).collect(),
            node_ports: ports.filter_map(|port| Some((port_key(port), port.node_port?))).collect(),
            health_check: spec.health_check_node_port,
        };
        if given != ServiceAllocations::default() {
            self.services.insert(key, given);
        }
        self.version = VERSION;
    }
}
