//! The comment of a captured packet: whose it is, and what became of it. Pure.

use proxy_common::Counter;

use super::{
    hook::{Fate, Stage},
    names::Served,
    packet::Packet,
};
use crate::commands::cli::PacketVerdict;

/// Returns the comment of a packet on a device. `to` is the device that it was redirected to, if that is known.
pub(super) fn comment(packet: &Packet, served: Option<&Served>, device: &str, to: Option<&str>) -> String {
    let verdict = verdict(packet);
    let way = way(packet, device, to);
    let further = further(packet).fold(String::new(), |text, what| text + ", " + what);
    match served {
        Some(served) => format!("{}: {verdict}; {way}{further}", subject(served)),
        None => format!("{verdict}; {way}{further}"),
    }
}

fn subject(served: &Served) -> String {
    let Served { port, kind, frontend, .. } = served;
    let arrow = if served.is_reply { "←" } else { "→" };
    let backend = served.backend.map(|backend| format!(" {arrow} {backend}")).unwrap_or_default();
    format!("{port} ({kind} {frontend}){backend}")
}

fn verdict(packet: &Packet) -> String {
    let refused = |word: &str| match packet.refusal() {
        Some(counter) => format!("{word}, {}: {}", counter.label().1, sentence(counter.meaning())),
        None => word.to_owned(),
    };
    match packet.verdict() {
        PacketVerdict::Forwarded => "forwarded".to_owned(),
        PacketVerdict::Translated => "translated".to_owned(),
        PacketVerdict::EchoReply => "answered as an echo request".to_owned(),
        PacketVerdict::Rejected => refused("rejected"),
        PacketVerdict::Dropped => refused("dropped"),
        PacketVerdict::Passed if packet.sent.is_some() => "changed".to_owned(),
        PacketVerdict::Passed => "untouched".to_owned(),
    }
}

/// Says what became of the packet.
fn way(packet: &Packet, device: &str, to: Option<&str>) -> String {
    let what = match (packet.verdict(), packet.sent_frame) {
        (PacketVerdict::Rejected, Some(sent)) if sent.is_reset => "RST ",
        (PacketVerdict::Rejected, Some(_)) => "ICMP error ",
        _ => "",
    };
    match (packet.fate(), packet.stage) {
        (Fate::Goes, Stage::Xdp | Stage::Ingress) => format!("{what}passed to the stack"),
        (Fate::Goes, Stage::Egress) => format!("{what}sent out of {device}"),
        (Fate::SentBack, _) => format!("{what}sent back out of {device}"),
        (Fate::Redirected, Stage::Xdp) => format!("{what}redirected to {}", to.unwrap_or("another device")),
        // Its route is found afterwards, and so are its MAC addresses.
        (Fate::Redirected, Stage::Ingress | Stage::Egress) => {
            format!("{what}redirected, the kernel adds the MAC addresses")
        }
        (Fate::Ends, _) => "not sent on".to_owned(),
    }
}

/// Says what else has happened.
fn further(packet: &Packet) -> impl Iterator<Item = &'static str> {
    let events = [
        (Counter::FlowOpened, "new flow"),
        (Counter::SnatPortChanged, "other source port"),
        (Counter::AffinityHit, "kept its backend by session affinity"),
        (Counter::UdpFlowMoved, "flow moved to another backend"),
    ];
    events.into_iter().filter(|(counter, _)| packet.has_counted(*counter)).map(|(_, what)| what)
}

/// Returns a meaning as it continues a sentence.
fn sentence(meaning: &str) -> String {
    let mut letters = meaning.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::capture::{
        frame::tests::tcp,
        packet::tests::{event, forwarded},
    };

    fn served(is_reply: bool, has_backend: bool) -> Served {
        Served {
            service: "default/shop".to_owned(),
            port: "default/shop:http".to_owned(),
            kind: "NodePort".to_owned(),
            frontend: "192.168.50.1:30080".parse().unwrap(),
            is_reply,
            backend: has_backend.then(|| "10.244.2.1:8080".parse().unwrap()),
        }
    }

    #[test]
    fn a_forwarded_packet_names_its_way() {
        let text = comment(&forwarded(), Some(&served(false, true)), "eth0", None);
        assert_eq!(
            text,
            "default/shop:http (NodePort 192.168.50.1:30080) → 10.244.2.1:8080: forwarded; sent back out of eth0, new flow"
        );
        let reply = comment(&forwarded(), Some(&served(true, true)), "eth0", None);
        assert!(reply.starts_with("default/shop:http (NodePort 192.168.50.1:30080) ← 10.244.2.1:8080: "), "{reply}");
    }

    #[test]
    fn a_refusal_names_its_reason_and_its_answer() {
        let received = tcp(([192, 0, 2, 9], 40000), ([192, 168, 50, 1], 30080), false);
        let reset = tcp(([192, 168, 50, 1], 30080), ([192, 0, 2, 9], 40000), true);
        let captured = event(&received, &reset, 3, &[Counter::RejectNoBackend]);
        let packet = Packet::new(captured, &reset, Stage::Xdp, false);
        let text = comment(&packet, Some(&served(false, false)), "eth0", None);
        assert_eq!(
            text,
            "default/shop:http (NodePort 192.168.50.1:30080): rejected, no_backend: no usable backend anywhere (S16); \
             RST sent back out of eth0"
        );
        let captured = event(&received, &received, 1, &[Counter::DropSourceRange]);
        let packet = Packet::new(captured, &received, Stage::Xdp, false);
        let text = comment(&packet, Some(&served(false, false)), "eth0", None);
        assert!(text.contains("dropped, source_range: ") && text.ends_with("; not sent on"), "{text}");
    }

    #[test]
    fn redirects_and_packets_of_no_service_say_what_is_known() {
        let bytes = tcp(([192, 0, 2, 9], 40000), ([192, 0, 2, 1], 22), false);
        let of = |stage, action, to| {
            let packet = Packet::new(event(&bytes, &bytes, action, &[]), &bytes, stage, false);
            comment(&packet, None, "eth0", to)
        };
        assert_eq!(of(Stage::Xdp, 2, None), "untouched; passed to the stack");
        assert_eq!(of(Stage::Egress, -1, None), "untouched; sent out of eth0");
        assert_eq!(of(Stage::Xdp, 4, Some("eth1")), "forwarded; redirected to eth1");
        assert_eq!(of(Stage::Xdp, 4, None), "forwarded; redirected to another device");
        assert!(of(Stage::Ingress, 7, None).starts_with("forwarded; redirected, the kernel"));
    }
}
