//! Decides which Service gets a frontend, a ClusterIP or a health check's port that several Services claim: the one created
//! first, of equally old ones the first by namespace and name. The others wait. Before age counts who has given out the address:
//! see [`Rank`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    net::IpAddr,
};

use proxy_common::{Frontend, FrontendKind};

use super::{frontends::frontends, health::health_claims, service::ParsedService};
use crate::desired::ServiceName;

/// The claims of all Services.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Every frontend and every ClusterIP (as [`Frontend::owner`]) with the Services that claim it, the holder first. No
    /// list is empty.
    claimants: HashMap<Frontend, Vec<Claimant>>,
    /// The Services with an externalIP or load-balancer IP, by that address. No set is empty.
    external: HashMap<IpAddr, BTreeSet<ServiceName>>,
}

/// The order of claims for one frontend, however old their Services are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The API server has allocated it: a ClusterIP or a port.
    Allocated,
    /// The load balancer's controller has written it into the Service's status.
    LoadBalancer,
    /// The Service's author has chosen it: an externalIP. So the author of an old Service can't take a load-balancer IP.
    Chosen,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claimant {
    rank: Rank,
    created: Option<i64>,
    service: ServiceName,
}

/// The effects of a change of one Service's claims on other Services.
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
        before: Option<&ParsedService>,
        after: Option<&ParsedService>,
    ) -> ClaimChange {
        let (old, new) = (before.map(claims_of).unwrap_or_default(), after.map(claims_of).unwrap_or_default());
        let created = after.and_then(|spec| spec.created);
        let same_age = before.and_then(|spec| spec.created) == created;
        let mut change = ClaimChange::default();
        for (claim, _) in old.iter().filter(|(claim, rank)| !same_age || new.get(claim) != Some(rank)) {
            self.release(*claim, service, &mut change);
        }
        for (claim, rank) in new.iter().filter(|(claim, rank)| !same_age || old.get(claim) != Some(rank)) {
            let claimant = Claimant { rank: *rank, created, service: service.clone() };
            self.take(*claim, claimant, &mut change);
        }
        self.replace_external(service, before, after);
        let external = change.cluster_ips.iter().filter_map(|address| self.external.get(address)).flatten();
        change.other_claimants.extend(external.filter(|other| *other != service).cloned());
        change
    }

    /// Returns the Service that gets `claim`.
    pub(super) fn holder(&self, claim: &Frontend) -> Option<&ServiceName> {
        self.claimants.get(claim)?.first().map(|first| &first.service)
    }

    /// Whether some Service's ClusterIP is `address`.
    pub(super) fn is_cluster_ip(&self, address: IpAddr) -> bool {
        self.claimants.contains_key(&Frontend::owner(address.into()))
    }

    /// Returns the ClusterIPs of all Services.
    pub(super) fn cluster_ips(&self) -> impl Iterator<Item = IpAddr> {
        self.claimants.keys().filter_map(cluster_ip)
    }

    fn release(&mut self, claim: Frontend, service: &ServiceName, change: &mut ClaimChange) {
        let Some(claimants) = self.claimants.get_mut(&claim) else { return };
        claimants.retain(|claimant| claimant.service != *service);
        change.note(&claim, claimants);
        if claimants.is_empty() {
            self.claimants.remove(&claim);
        }
    }

    fn replace_external(
        &mut self,
        service: &ServiceName,
        before: Option<&ParsedService>,
        after: Option<&ParsedService>,
    ) {
        for address in before.into_iter().flat_map(ParsedService::external_addresses) {
            if let Entry::Occupied(mut services) = self.external.entry(address) {
                services.get_mut().remove(service);
                if services.get().is_empty() {
                    services.remove();
                }
            }
        }
        for address in after.into_iter().flat_map(ParsedService::external_addresses) {
            self.external.entry(address).or_default().insert(service.clone());
        }
    }

    fn take(&mut self, claim: Frontend, claimant: Claimant, change: &mut ClaimChange) {
        // Nearly every claim has one claimant, so the list gets no spare capacity.
        let claimants = self.claimants.entry(claim).or_insert_with(|| Vec::with_capacity(1));
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

impl Rank {
    fn of(kind: FrontendKind) -> Self {
        match kind {
            FrontendKind::ExternalIp => Self::Chosen,
            FrontendKind::LoadBalancer => Self::LoadBalancer,
            _ => Self::Allocated,
        }
    }
}

/// Returns what a Service claims.
fn claims_of(spec: &ParsedService) -> BTreeMap<Frontend, Rank> {
    let dialled = frontends(spec).into_iter().map(|(frontend, origin)| (frontend, Rank::of(origin.kind)));
    let owned = spec.cluster_ips.iter().map(|address| Frontend::owner((*address).into()));
    dialled.chain(owned.chain(health_claims(spec)).map(|claim| (claim, Rank::Allocated))).collect()
}

fn cluster_ip(claim: &Frontend) -> Option<IpAddr> {
    (claim.port == 0 && claim.protocol == 0).then(|| claim.address.into())
}
