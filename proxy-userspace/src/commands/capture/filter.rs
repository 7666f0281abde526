//! Which packets are asked for. Conditions on devices and reasons hold in the tracing programs, all others here. Pure.

use std::net::IpAddr;

use proxy_common::{Counter, Outcome, Protocol, capture::bits};

use super::{error::CaptureError, names::Served, packet::Packet};
use crate::commands::cli::PacketVerdict;

/// What a packet must be.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Namespace and name of the Service.
    pub(super) service: Option<String>,
    pub(super) host: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) protocol: Option<Protocol>,
    /// One of these; any if there are none.
    pub(super) verdicts: Vec<PacketVerdict>,
}

impl Filter {
    /// Whether a packet is asked for.
    pub(super) fn takes(&self, packet: &Packet, served: Option<&Served>) -> bool {
        let any = |is_it: &dyn Fn(&super::frame::Frame) -> bool| packet.frames().any(is_it);
        let is_protocol = |protocol: Protocol| move |number: u8| Protocol::from_number(number.into()) == Some(protocol);
        self.service.as_ref().is_none_or(|name| served.is_some_and(|served| served.service == *name))
            && self.host.is_none_or(|host| any(&|frame| frame.has_host(host.to_canonical())))
            && self.port.is_none_or(|port| any(&|frame| frame.has_port(port)))
            && self.protocol.is_none_or(|protocol| any(&|frame| is_protocol(protocol)(frame.protocol)))
            && (self.verdicts.is_empty() || self.verdicts.contains(&packet.verdict()))
    }
}

/// Returns the counters of reasons, by their bits; 0 if there are no reasons.
pub(super) fn reasons(labels: &[String]) -> Result<u64, CaptureError> {
    let all = || Counter::ALL.into_iter().filter(|counter| counter.label().0 != Outcome::Done);
    labels.iter().try_fold(0, |sum, label| {
        let counter = all().find(|counter| counter.label().1 == label);
        let unknown = || CaptureError::Reason {
            reason: label.clone(),
            reasons: all().map(|counter| counter.label().1).collect(),
        };
        Ok(sum | bits(counter.ok_or_else(unknown)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::capture::packet::tests::forwarded;

    #[test]
    fn conditions_hold_before_or_after_translation() {
        let packet = forwarded();
        let is_taken = |filter: Filter| filter.takes(&packet, None);
        let host = |text: &str| Filter { host: text.parse().ok(), ..Filter::default() };
        let port = |port| Filter { port: Some(port), ..Filter::default() };
        assert!(is_taken(Filter::default()) && is_taken(host("10.244.2.1")) && is_taken(host("::ffff:192.0.2.9")));
        assert!(is_taken(port(30080)) && is_taken(port(8080)));
        assert!(!is_taken(host("10.244.2.2")) && !is_taken(port(80)));
        let protocol = |protocol| Filter { protocol: Some(protocol), ..Filter::default() };
        assert!(is_taken(protocol(Protocol::Tcp)) && !is_taken(protocol(Protocol::Udp)));
        let verdicts = |verdicts: &[PacketVerdict]| Filter { verdicts: verdicts.to_vec(), ..Filter::default() };
        assert!(is_taken(verdicts(&[PacketVerdict::Dropped, PacketVerdict::Forwarded])));
        assert!(!is_taken(verdicts(&[PacketVerdict::Passed])));
        assert!(!is_taken(Filter { service: Some("default/shop".to_owned()), ..Filter::default() }));
    }

    #[test]
    fn reasons_are_known_by_their_labels() {
        let labels = ["no_backend".to_owned(), "no_route".to_owned()];
        assert_eq!(reasons(&labels).unwrap(), bits(Counter::RejectNoBackend) | bits(Counter::DropNoRoute));
        assert_eq!(reasons(&[]).unwrap(), 0);
        let error = reasons(&["packet_forwarded".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("no such reason") && error.contains("no_backend, unserved_port"), "{error}");
    }
}
