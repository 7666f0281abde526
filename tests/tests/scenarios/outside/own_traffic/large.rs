//! Datagrams that are larger than the path to the backend allows: the sender gets an error, and its kernel fragments the
//! next ones.

use std::time::Duration;

use harness::{
    lab::Kind,
    scene::{Family, from_outside_over_both, until},
};

/// The MTU of the path to the backend.
const MTU: usize = 1400;
/// A size that fits the client's own device.
const DATAGRAM: usize = 1440;

#[test]
fn field_s10_datagrams_larger_than_the_way_to_the_backend_arrive() {
    from_outside_over_both("large", |outside, family| {
        outside.serve_echo(family, &outside.remote);
        let (length, kind) = if family == Family::Ipv4 { (32, Kind::Udp4) } else { (128, Kind::Udp6) };
        let (to, via) = (family.of(&outside.remote), family.of(&outside.other));
        outside.scene.node.netns().batch(&[format!("route add {to}/{length} via {via} mtu {MTU}")]).unwrap();
        let socket = outside.client.open(kind, None).unwrap();
        socket.connect(outside.node_port(family)).unwrap();
        let text = "x".repeat(DATAGRAM);
        let arrives = || {
            // The first datagram is lost; any call may return the error that tells the sender.
            socket.send(&text).is_ok()
                && socket.receive(Duration::from_millis(500)).is_ok_and(|answer| answer.text == text)
        };
        until("a large datagram arrives", arrives);
        outside.scene.delete("Service", "web");
    });
}
