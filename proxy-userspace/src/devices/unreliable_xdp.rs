//! Finds devices on which native XDP is not reliable although their drivers accept it: packets arrive with unfinished checksums,
//! or what XDP sends does not arrive. Decides by the kernel's description of the device, without trying.

use std::io;

use crate::{
    attach::xdp_program_on,
    logging::errors::Report,
    node::rtnetlink::{Link, LinkPeer},
};

const VETH: &str = "veth";

/// Returns why packets that native XDP sends from a device may be lost, or packets that it receives may have unfinished checksums;
/// `None` for network cards. For a bond its ports decide. Other software devices refuse native XDP.
pub(super) fn unreliable(link: &Link, links: &[Link]) -> Option<String> {
    let own = match (link.kind.as_str(), link.bus.as_str()) {
        // drivers/net/veth.c: veth_xdp_flush.
        (VETH, _) => "it is a veth, whose other end receives what XDP sends only if it has an XDP program itself",
        // drivers/net/tun.c: XDP sees no virtio header, which says that a checksum is still to be filled in.
        ("tun", _) => "it is a tap, whose packets may have unfinished checksums that XDP can't recognise",
        // drivers/net/xen-netfront.c: the flag XEN_NETRXF_csum_blank is read after XDP.
        (_, "xen") => "it is a Xen interface, whose packets may have unfinished checksums that XDP can't recognise",
        _ => return links.iter().filter(|port| is_port(port, link)).find_map(|port| unreliable_port(port, links)),
    };
    Some(own.to_owned())
}

/// Whether `link` is a bond and `port` one of its ports. Only bonds send through the native XDP of their ports.
fn is_port(port: &Link, link: &Link) -> bool {
    link.kind == "bond" && port.master == Some(link.index) && port.kind != "bond"
}

fn unreliable_port(port: &Link, links: &[Link]) -> Option<String> {
    unreliable(port, links).map(|unreliable| format!("of its port {}: {unreliable}", port.name))
}

/// Returns why packets that native XDP sends from a veth are lost: its other end lacks a native XDP program, or can't be
/// inspected. `None` if it has one, and for other devices.
pub(super) fn loss(link: &Link) -> Option<String> {
    let peer = link.peer.filter(|_| link.kind == VETH)?;
    describe(peer, xdp_program_on(peer.index, peer.netns))
}

fn describe(peer: LinkPeer, program: io::Result<Option<u32>>) -> Option<String> {
    let place = peer.netns.map_or_else(String::new, |number| format!(" in network namespace {number}"));
    match program {
        Ok(Some(_)) => None,
        Ok(None) => Some(format!(
            "the other end of this veth, device {}{place}, has no native XDP program: put one there that lets everything \
             pass, or serve the device by TC",
            peer.index
        )),
        Err(error) => Some(format!(
            "the other end of this veth, device {}{place}, can't be inspected ({}): it needs a native XDP program",
            peer.index,
            Report(&error)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, kind: &str, bus: &str, master: Option<u32>) -> Link {
        let name = format!("dev{index}");
        Link { index, name, kind: kind.to_owned(), bus: bus.to_owned(), master, ethernet: true, ..Link::default() }
    }

    #[test]
    fn w04_software_that_imitates_cards_is_doubted_and_cards_are_not() {
        for (kind, bus, doubted) in [
            ("", "pci", false),
            ("", "virtio", false),
            ("", "", false),
            ("bridge", "", false),
            ("veth", "", true),
            ("tun", "", true),
            ("", "xen", true),
        ] {
            assert_eq!(unreliable(&link(2, kind, bus, None), &[]).is_some(), doubted, "{kind:?} {bus:?}");
        }
    }

    #[test]
    fn w04_a_bond_is_doubted_for_its_ports_and_a_bridge_sends_nothing_by_them() {
        let (bond, bridge) = (link(2, "bond", "", None), link(3, "bridge", "", None));
        let ports = |master| [link(4, "", "pci", Some(master)), link(5, "veth", "", Some(master))];
        let found = unreliable(&bond, &ports(2)).unwrap();
        assert!(found.starts_with("of its port dev5: it is a veth"), "{found}");
        assert_eq!(unreliable(&bond, &ports(2)[..1]), None);
        assert_eq!(unreliable(&bond, &ports(3)), None);
        assert_eq!(unreliable(&bridge, &ports(3)), None);
    }

    #[test]
    fn w04_the_other_end_of_a_veth_is_named() {
        let peer = LinkPeer { index: 7, netns: Some(3) };
        assert_eq!(describe(peer, Ok(Some(1))), None);
        let missing = describe(peer, Ok(None)).unwrap();
        assert!(missing.contains("device 7 in network namespace 3, has no native XDP program"), "{missing}");
        assert!(describe(LinkPeer { index: 7, netns: None }, Ok(None)).unwrap().contains("device 7, has"));
        let unknown = describe(peer, Err(io::Error::from_raw_os_error(libc::EPERM))).unwrap();
        assert!(unknown.contains("can't be inspected (Operation not permitted"), "{unknown}");
    }
}
