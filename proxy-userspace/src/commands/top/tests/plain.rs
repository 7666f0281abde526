use super::*;
use crate::commands::top::plain::text;

#[test]
fn a_plain_frame_has_all_services_by_rate_and_what_is_refused() {
    let expected = "\
within 2.0 s, per second: 12.5 connections, 150.0 packets, 10000 bytes, 1.0 refused

NAMESPACE   NAME   PORT   PROTOCOL   CONNECTIONS/S   PACKETS/S   BYTES/S   CONNECTIONS
default     web    http   TCP        12.0            0.0         0         39
shop        cart   -      TCP        0.5             150.0       10000     8

VERDICT   REASON       REFUSED/S   COUNT
reject    no_backend   1.0         5
drop      no_route     0.0         9
";
    assert_eq!(text(&figures()), expected);
}
