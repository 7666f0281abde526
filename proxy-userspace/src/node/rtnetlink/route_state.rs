//! What the watcher remembers of routes other than default routes, and of their nexthop objects. Updated with each message.

use std::collections::BTreeSet;

use super::{
    Link, gateways,
    hosts::{self, HOSTS_MAX, Host},
    main_route::MainRoute,
    nexthops::{Change, Nexthops},
};

/// The state as of the last message.
#[derive(Debug, Default)]
pub(super) struct RouteState {
    /// Devices that have had a link-local gateway since the start; see [`gateways`].
    pub(super) gateways: BTreeSet<u32>,
    /// Host routes; see [`hosts`].
    pub(super) hosts: BTreeSet<Host>,
    pub(super) nexthops: Nexthops,
}

impl RouteState {
    /// Processes a message about a route. Returns true if a snapshot would differ.
    pub(super) fn route(&mut self, route: &MainRoute<'_>) -> bool {
        let host = hosts::read(route, &self.nexthops);
        if let Some(id) = route.nexthop().filter(|_| route.is_new) {
            // Other routes matter only for their gateways, which the object's own message contains.
            self.nexthops.note_use(id, route.bits == 0 || matches!(host, Some((_, true))));
        }
        let mut differs = false;
        for device in gateways::devices(route, &self.nexthops) {
            differs |= self.gateways.insert(device);
        }
        differs
            | match host {
                Some((host, true)) if self.hosts.len() < HOSTS_MAX => self.hosts.insert(host),
                Some((host, false)) => self.hosts.remove(&host),
                _ => false,
            }
    }

    /// Processes a message about a nexthop object. Returns the change, if there is one, and whether a snapshot would differ.
    pub(super) fn nexthop(&mut self, message: &[u8]) -> Option<(Change, bool)> {
        let change = self.nexthops.process(message)?;
        let mut differs = change.is_followed;
        if change.is_used {
            for device in gateways::behind(&self.nexthops.hops(change.id)) {
                differs |= self.gateways.insert(device);
            }
        }
        Some((change, differs))
    }

    /// Replaces the state by the result of a walk through all routes. Gateways are only added.
    pub(super) fn renew(&mut self, found: Self) {
        self.gateways.extend(found.gateways);
        (self.hosts, self.nexthops) = (found.hosts, found.nexthops);
    }

    /// Forgets gateways and host routes of devices that are gone. The kernel also removes IPv4 routes without a message
    /// when a device goes down.
    pub(super) fn retain(&mut self, links: &[Link]) {
        self.gateways.retain(|index| links.iter().any(|link| link.index == *index));
        self.hosts.retain(|host| links.iter().any(|link| link.index == host.device && link.up && !link.loopback));
    }
}
