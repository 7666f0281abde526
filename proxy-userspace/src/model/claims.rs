//! Which Service gets a frontend, a ClusterIP or a health check's port that several Services claim: the one created
//! first, of equally old ones the first by namespace and name. The others wait.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use proxy_common::Frontend;

use super::{frontends::frontends, health::health_claims, service::ServiceSpec};
use crate::desired::ServiceName;

/// Every frontend and every ClusterIP (as [`Frontend::owner`]) with the Services that claim it, the holder first. No
/// list is empty.
#[derive(Debug, Default)]
pub(super) struct Claims(HashMap<Frontend, Vec<Claimant>>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claimant {
    created: Option<i64>,
    service: ServiceName,
}

/// What a change of one Service's claims means to others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClaimChange {
    /// The other Services that claim what this Service began or ceased to claim.
    pub(super) other_claimants: BTreeSet<ServiceName>,
    /// The ClusterIPs that this Service began or ceased to claim.
    pub(super) cluster_ips: BTreeSet<IpAddr>,
}

impl Claims {
    /// Replaces the claims of `service`.
    pub(super) fn replace(
        &mut self,
        service: &ServiceName,
        before: Option<&ServiceSpec>,
        after: Option<&ServiceSpec>,
    ) -> ClaimChange {
        let (old, new) = (before.map(claims_of).unwrap_or_default(), after.map(claims_of).unwrap_or_default());
        let created = after.and_then(|spec| spec.created);
        let same_age = before.and_then(|spec| spec.created) == created;
        let mut change = ClaimChange::default();
        for claim in old.iter().filter(|claim| !same_age || !new.contains(claim)) {
            self.release(*claim, service, &mut change);
        }
        for claim in new.iter().filter(|claim| !same_age || !old.contains(claim)) {
            self.take(*claim, Claimant { created, service: service.clone() }, &mut change);
        }
        change
    }

    /// The Service that gets `claim`.
    pub(super) fn holder(&self, claim: &Frontend) -> Option<&ServiceName> {
        self.0.get(claim)?.first().map(|first| &first.service)
    }

    /// Whether some Service's ClusterIP is `address`.
    pub(super) fn is_cluster_ip(&self, address: IpAddr) -> bool {
        self.0.contains_key(&Frontend::owner(address.into()))
    }

    /// Every Service's ClusterIPs.
    pub(super) fn cluster_ips(&self) -> impl Iterator<Item = IpAddr> {
        self.0.keys().filter_map(cluster_ip)
    }

    fn release(&mut self, claim: Frontend, service: &ServiceName, change: &mut ClaimChange) {
        let Some(claimants) = self.0.get_mut(&claim) else { return };
        claimants.retain(|claimant| claimant.service != *service);
        change.note(&claim, claimants);
        if claimants.is_empty() {
            self.0.remove(&claim);
        }
    }

    fn take(&mut self, claim: Frontend, claimant: Claimant, change: &mut ClaimChange) {
        // Nearly every claim has one claimant, so the list gets no spare capacity.
        let claimants = self.0.entry(claim).or_insert_with(|| Vec::with_capacity(1));
        change.note(&claim, claimants);
        let place = claimants.partition_point(|other| *other < claimant);
        claimants.insert(place, claimant);
    }
}

impl ClaimChange {
    fn note(&mut self, claim: &Frontend, others: &[Claimant]) {
        self.other_claimants.extend(others.iter().map(|claimant| claimant.service.clone()));
        self.cluster_ips.extend(cluster_ip(claim));
    }
}

fn claims_of(spec: &ServiceSpec) -> BTreeSet<Frontend> {
    let owned = spec.cluster_ips.iter().map(|address| Frontend::owner((*address).into()));
    frontends(spec).into_keys().chain(owned).chain(health_claims(spec)).collect()
}

fn cluster_ip(claim: &Frontend) -> Option<IpAddr> {
    (claim.port == 0 && claim.protocol == 0).then(|| claim.address.into())
}
