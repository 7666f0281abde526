//! What Services were given, to give them the same again after a restart.

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

/// What was given, by `namespace/name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    version: u32,
    services: BTreeMap<String, Given>,
}

/// What one Service was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Given {
    /// Cluster addresses, one of a family.
    pub addresses: Vec<IpAddr>,
    /// Node ports by [`port_key`].
    pub node_ports: BTreeMap<String, i32>,
    /// The health check's node port.
    pub health_check: Option<i32>,
}

/// The file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It can't be read.
    #[error("read allocations {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what this version writes.
    #[error("read allocations {}: {reason}; they are made anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It can't be written.
    #[error("write allocations {}: {source}; they may change at the next start", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Names a port of a Service: its number and protocol are unique, its name may change.
pub(super) fn port_key(port: &ServicePort) -> String {
    format!("{}/{}", port.protocol.as_deref().unwrap_or(Protocol::Tcp.name()), port.port)
}

impl Memory {
    /// From the file at `path`; empty if there is none.
    pub fn load(path: &Path) -> Result<Self, MemoryError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(MemoryError::Read { path: path.to_owned(), source }),
        };
        let damaged = |reason: String| MemoryError::Damaged { path: path.to_owned(), reason };
        let memory: Self = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if memory.version == VERSION {
            Ok(memory)
        } else {
            Err(damaged(format!("version {} is unknown", memory.version)))
        }
    }

    /// To the file at `path`: a reader, or a crash, meets the old content or the new one.
    pub fn save(&self, path: &Path) -> Result<(), MemoryError> {
        self.write(path).map_err(|source| MemoryError::Write { path: path.to_owned(), source })
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

    /// Adds what `other` knows of Services that this one does not.
    pub fn keep(&mut self, other: &Self) {
        for (key, given) in &other.services {
            self.services.entry(key.clone()).or_insert_with(|| given.clone());
        }
    }

    pub(super) fn of(&self, key: &str) -> Option<&Given> {
        self.services.get(key)
    }

    pub(super) fn remember(&mut self, key: String, service: &Service) {
        let spec = &service.spec;
        let ports = spec.ports.iter().flatten();
        let given = Given {
            addresses: spec.cluster_ips.iter().flatten().filter_map(|ip| ip.parse().ok()).collect(),
            node_ports: ports.filter_map(|port| Some((port_key(port), port.node_port?))).collect(),
            health_check: spec.health_check_node_port,
        };
        if given != Given::default() {
            self.services.insert(key, given);
        }
        self.version = VERSION;
    }
}
