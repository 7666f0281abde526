//! Writes the marks of addresses that Services own. Several Services may share an address: its one mark merges what they say.

use std::net::IpAddr;

use proxy_common::Frontend;

use super::{ApplyError, Dataplane, refused};
use crate::{
    desired::{Owner, OwnerKind, ServiceName, sorted::SortedMap},
    maps::{
        encode,
        store::{Entries as _, Store},
    },
};

/// The Services that own an address.
pub(super) type Owners = SortedMap<ServiceName, Owner>;

impl<S: Store> Dataplane<S> {
    pub(super) fn put_owned(&mut self, address: IpAddr, service: &ServiceName, owner: Owner) -> Result<(), ApplyError> {
        let mut owners = self.marks.get(&address).cloned().unwrap_or_default();
        owners.insert(service.clone(), owner);
        self.write_mark(address, owners)?;
        self.table.services.entry(service.clone()).or_default().owned.insert(address, owner);
        Ok(())
    }

    /// Removes a Service from the owners of an address. On failure it still is one.
    pub(super) fn remove_owned(&mut self, address: IpAddr, service: &ServiceName) -> Result<(), ApplyError> {
        let mut owners = self.marks.get(&address).cloned().unwrap_or_default();
        owners.remove(service);
        if owners.is_empty() {
            let mark = Frontend::owner(address.into());
            self.maps.services.remove(&mark);
            if self.marks.remove(&address).is_some() {
                self.filters.remove_frontend(&mark);
            }
        } else {
            self.write_mark(address, owners)?;
        }
        self.remove_from_table(service, |table| _ = table.owned.remove(&address));
        Ok(())
    }

    fn write_mark(&mut self, address: IpAddr, owners: Owners) -> Result<(), ApplyError> {
        let mark = Frontend::owner(address.into());
        let is_new = !self.marks.contains_key(&address);
        if is_new {
            self.filters.put_frontend(&mut self.maps.filters, &mark);
        }
        if let Err(error) = self.maps.services.put(mark, encode::owner(together(&owners))) {
            if is_new {
                self.filters.remove_frontend(&mark);
            }
            return Err(refused("SERVICES", "--max-services", error));
        }
        self.marks.insert(address, owners);
        Ok(())
    }
}

/// Merges the owners of an address: it is a ClusterIP if any owner has it as one, and usable if any owner has a usable backend.
fn together(owners: &Owners) -> Owner {
    let merge = |one: Owner, other: &Owner| Owner { kind: one.kind.max(other.kind), usable: one.usable | other.usable };
    owners.values().fold(Owner { kind: OwnerKind::External, usable: false }, merge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use OwnerKind::{ClusterIp, External};

    #[test]
    fn s20_an_address_is_a_cluster_ip_and_usable_if_one_owner_says_so() {
        let owners = |given: &[(OwnerKind, bool)]| {
            let mut owners = Owners::default();
            for (number, (kind, usable)) in given.iter().enumerate() {
                owners.insert(ServiceName::new("default", number.to_string()), Owner { kind: *kind, usable: *usable });
            }
            let Owner { kind, usable } = together(&owners);
            (kind, usable)
        };
        assert_eq!(owners(&[(External, true), (External, false)]), (External, true));
        assert_eq!(owners(&[(External, false), (ClusterIp, false)]), (ClusterIp, false));
        assert_eq!(owners(&[(External, true), (ClusterIp, false)]), (ClusterIp, true));
    }
}
