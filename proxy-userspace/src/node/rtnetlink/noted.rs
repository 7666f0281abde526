//! What is kept of routes beside default ones, and of the nexthop objects that they have, as their messages come.

use std::collections::BTreeSet;

use super::{
    Link, gateways,
    hosts::{self, HOSTS_MAX, Host},
    main_route::MainRoute,
    nexthops::{Change, Nexthops},
};

/// It, as of the last message.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Devices that a link-local gateway is behind, since the start; see [`gateways`].
    pub(super) gateways: BTreeSet<u32>,
    /// Addresses with a route of their own; see [`hosts`].
    pub(super) hosts: BTreeSet<Host>,
    pub(super) nexthops: Nexthops,
}

impl Noted {
    /// Notes what a message says of a route. Whether a snapshot differs.
    pub(super) fn route(&mut self, route: &MainRoute<'_>) -> bool {
        let host = hosts::read(route, &self.nexthops);
        if let Some(id) = route.nexthop().filter(|_| route.is_new) {
            // Of others only the gateway counts, and that the object's own message tells.
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

    /// Notes what a message says of a nexthop object. Returns what has changed, if anything, and whether a snapshot differs.
    pub(super) fn nexthop(&mut self, message: &[u8]) -> Option<(Change, bool)> {
        let change = self.nexthops.hear(message)?;
        let mut differs = change.is_followed;
        if change.is_used {
            for device in gateways::behind(&self.nexthops.hops(change.id)) {
                differs |= self.gateways.insert(device);
            }
        }
        Some((change, differs))
    }

    /// Takes over what a walk through all routes has found.
    pub(super) fn renew(&mut self, found: Self) {
        self.gateways.extend(found.gateways);
        (self.hosts, self.nexthops) = (found.hosts, found.nexthops);
    }

    /// Forgets what has gone with its device. The kernel takes IPv4 routes away without a word when that goes down.
    pub(super) fn retain(&mut self, links: &[Link]) {
        self.gateways.retain(|index| links.iter().any(|link| link.index == *index));
        self.hosts.retain(|host| links.iter().any(|link| link.index == host.device && link.up && !link.loopback));
    }
}
