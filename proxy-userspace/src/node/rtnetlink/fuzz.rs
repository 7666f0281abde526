//! Processes messages as the watcher does, without a socket: for fuzz targets.

use rtnetlink::packet_route::RouteNetlinkMessage;

use super::{
    Snapshot,
    changes::{PendingChanges, RawMessage},
    read,
    routes::Found,
};
use crate::node::netlink;

/// Returns the snapshot after these messages. Each is processed as a notification and as a part of a dump.
pub(crate) fn snapshot(datagram: &[u8]) -> Snapshot {
    let (mut pending, mut found, mut snapshot) = (PendingChanges::default(), Found::default(), Snapshot::default());
    for message in netlink::messages(datagram).map_while(Result::ok) {
        pending.process(&RawMessage::parse(message));
        let _ = found.process(message);
        match netlink::read(message) {
            Ok(Some(RouteNetlinkMessage::NewLink(link))) => snapshot.links.push(read::link(&link)),
            Ok(Some(RouteNetlinkMessage::NewAddress(address))) => snapshot.addresses.extend(read::address(&address)),
            Ok(Some(RouteNetlinkMessage::NewRule(rule))) => snapshot.rules.push(read::rule(&rule)),
            _ => {}
        }
    }
    let _ = pending.take_routes();
    pending.noted.renew(found.noted);
    pending.noted.retain(&snapshot.links);
    let hosts = pending.noted.hosts.iter().map(|host| host.address).collect();
    Snapshot { routes: found.defaults, gateways: pending.noted.gateways, hosts, ..snapshot }
}
