//! Writes frontends into SERVICES.

use std::sync::Arc;

use proxy_common::{Frontend, decide::lookup_service, filter::AddressClass};

use super::{ApplyError, Dataplane, bump, port::Port, refused};
use crate::{
    desired::{FrontendEntry, PortId, ServiceName, ServiceTable},
    maps::{
        encode,
        store::{Entries as _, Store},
    },
};

impl<S: Store> Dataplane<S> {
    /// Whether the programs find a Service for a packet to `dialled`.
    pub fn serves(&self, dialled: &Frontend) -> bool {
        lookup_service(&self.maps, dialled, AddressClass::SERVICE, || false).is_ok()
    }

    pub(super) fn put_frontend(
        &mut self,
        frontend: Frontend,
        service: &ServiceName,
        entry: FrontendEntry,
    ) -> Result<(), ApplyError> {
        let id = PortId { service: service.clone(), port: entry.port.clone() };
        // A port that lacks the lists was refused, which is in the outcome already.
        let has = |port: &Port| port.ranges.contains_key(&entry.internal) && port.ranges.contains_key(&entry.external);
        let Some((id, _)) = self.ports.get_key_value(&id).filter(|(_, port)| has(port)) else { return Ok(()) };
        let id = Arc::clone(id);
        let is_new = !self.owners.contains_key(&frontend);
        if is_new {
            self.filters.put_frontend(&mut self.maps.filters, &frontend);
        }
        if let Err(error) = self.write_frontend(&frontend, &id, &entry) {
            if is_new {
                self.filters.remove_frontend(&frontend);
            }
            return Err(error);
        }
        if let Some(before) = self.owners.insert(frontend, Arc::clone(&id)) {
            self.release_frontend(&frontend, &before, &id);
        }
        self.table.services.entry(service.clone()).or_default().frontends.insert(frontend, entry);
        Ok(())
    }

    pub(super) fn remove_frontend(&mut self, frontend: &Frontend) {
        self.maps.services.remove(frontend);
        if let Some(id) = self.owners.remove(frontend) {
            self.filters.remove_frontend(frontend);
            self.forget_frontend(frontend, &id);
        }
    }

    /// To be called when a frontend of port `before` is now one of port `now`: backends remembered through it must be checked
    /// again.
    fn release_frontend(&mut self, frontend: &Frontend, before: &PortId, now: &PortId) {
        if before != now {
            self.forget_frontend(frontend, before);
        } else if let Some(port) = self.ports.get(now) {
            bump(&mut self.maps, port.id);
        }
    }

    fn forget_frontend(&mut self, frontend: &Frontend, id: &PortId) {
        if let Some(port) = self.ports.get_mut(id) {
            port.forget(frontend);
            bump(&mut self.maps, port.id);
        }
        self.remove_from_table(&id.service, |table| drop(table.frontends.remove(frontend)));
    }

    /// Removes something from a Service's part of the table, and the whole part if it is then empty.
    pub(super) fn remove_from_table(&mut self, service: &ServiceName, take: impl FnOnce(&mut ServiceTable)) {
        if let Some(table) = self.table.services.get_mut(service) {
            take(table);
            if *table == ServiceTable::default() {
                self.table.services.remove(service);
            }
        }
    }

    /// Writes a frontend with its port's current slots.
    pub(super) fn write_frontend(
        &mut self,
        frontend: &Frontend,
        id: &PortId,
        entry: &FrontendEntry,
    ) -> Result<(), ApplyError> {
        let (Some(port), Some(wanted)) = (self.ports.get_mut(id), self.table.services.get(&id.service)) else {
            return Ok(());
        };
        let Some(wanted) = wanted.ports.get(&id.port) else { return Ok(()) };
        let range = |list| port.ranges.get(&list).copied().unwrap_or_default();
        let value = encode::service(port.id, wanted, entry, range);
        let write = self.maps.services.put(*frontend, value);
        write.map_err(|error| refused("SERVICES", "--max-services", error))?;
        port.note_written(*frontend, [value.internal, value.external]);
        Ok(())
    }
}
