//! The names of service ids and devices. Each is read once in a while, since an id may be given to another Service.

use std::collections::BTreeMap;

use aya::maps::{HashMap, MapData};
use proxy_common::StoredName;

use super::error::MonitorError;
use crate::{
    commands::get::Name,
    maps::{PinFolder, open_read_only},
};

/// Names that have been read.
pub struct Names {
    map: HashMap<MapData, u32, StoredName>,
    services: BTreeMap<u32, StoredName>,
    devices: BTreeMap<u32, String>,
}

impl Names {
    /// Opens the names of an instance.
    pub fn open(folder: &PinFolder) -> Result<Self, MonitorError> {
        let map = open_read_only(folder, "SERVICE_NAMES")?;
        Ok(Self { map, services: BTreeMap::new(), devices: BTreeMap::new() })
    }

    /// Forgets all names, so that they are read again.
    pub fn forget(&mut self) {
        self.services.clear();
        self.devices.clear();
    }

    /// Returns the names of a service port; `None` for the id 0, which no Service has.
    pub fn service(&mut self, id: u32) -> Option<Name> {
        if !self.services.contains_key(&id)
            && let Ok(name) = self.map.get(&id, 0)
        {
            self.services.insert(id, name);
        }
        (id != 0).then(|| Name::of(id, &self.services))
    }

    /// Returns the name of a device in this network namespace, or its index; `None` for the index 0.
    pub fn device(&mut self, index: u32) -> Option<String> {
        let name = || {
            let name = nix::net::if_::if_indextoname(index).ok();
            name.map_or_else(|| format!("#{index}"), |name| name.to_string_lossy().into_owned())
        };
        (index != 0).then(|| self.devices.entry(index).or_insert_with(name).clone())
    }
}
