//! What to do about each reason to refuse a packet or a call: what `waggle explain --drop` prints. The compiler checks that no
//! reason is missing.

use crate::reason::Counter;

macro_rules! advice {
    (refusals { $($counter:ident: $text:literal;)* } others { $($event:ident)* }) => {
        impl Counter {
            /// What to do about a refusal that it counts, in sentences. `None` if it counts no refusals.
            pub const fn advice(self) -> Option<&'static str> {
                match self {
                    $(Self::$counter => Some($text),)*
                    $(Self::$event => None,)*
                }
            }
        }
    };
}

advice! {
    refusals {
        RejectNoBackend: "Look at the Service's EndpointSlices: its selector matches no Pod, or no Pod is ready. New \
            connections are served as soon as an endpoint is ready.";
        RejectUnservedPort: "Dial a port in spec.ports of the Service, with the protocol that it has there, or add \
            the port to the Service.";
        RejectUnknownConnection: "Nothing, if there are few: clients that were idle for longer than a timeout, or \
            whose connection is older than this node's flows, connect again. If there are many, compare the clients' \
            idle times with --conntrack-tcp-timeout-established, and check that all packets of a connection come by the \
            same node.";
        DropNoLocalBackend: "Schedule a Pod of the Service on this node, send the clients to a node that has one \
            (the load balancer's health check at healthCheckNodePort does that), or set the traffic policy to Cluster.";
        DropUnownedAddress: "Look for the client that dials the address: its Service was deleted, or has another \
            clusterIP now. DNS names instead of addresses follow such changes.";
        DropMissingBackend: "Restart the agent of this node, which writes the maps again. If the counter still \
            rises, please report it as a bug.";
        DropSourceRange: "If the client should be served, add its address to spec.loadBalancerSourceRanges of the \
            Service. The address is the one that arrives here: a load balancer or router on the way may have replaced \
            it.";
        DropMalformed: "Capture packets to the frontends on this node's devices: a sender or a device on the way \
            damages them. An attack looks like this, too.";
        DropMappedAddress: "Look for the sender: no IPv6 packet on a network may have an IPv4-mapped address (RFC \
            4291). It is a bug, or an attempt to evade filters.";
        DropFragmentOutOfOrder: "Nothing, if there are few: the sender repeats the datagram. If there are many, the \
            network reorders fragments: make packets small enough for the path, so that none are fragmented.";
        DropSnatPortsExhausted: "`waggle get backends` shows for which backend. Add backends, spread the clients \
            over more nodes, or leave more ports outside net.ipv4.ip_local_port_range and ip_local_reserved_ports.";
        DropNoNodeAddress: "Give this node an address of the packet's family in status.addresses of its Node object, \
            or don't send packets of that family here.";
        DropNoRoute: "`ip route get BACKEND` on this node shows which route of type unreachable, prohibit or \
            blackhole refuses the backend's address. The network plugin usually writes these routes.";
        DropTooBig: "Nothing: the sender has been informed, if it can be, and sends smaller packets. If it does not, \
            a firewall on the way drops the ICMP messages.";
        DropHopLimit: "Look for a routing loop between the client, this node and the backend. The tool traceroute \
            causes these, too.";
        DropRejectLimited: "Look for the clients that are refused: `waggle get drops` says for which reasons. \
            --reject-rate sets the limit.";
        DropConntrackFull: "Restart the agent of this node with a larger --max-conntrack or --max-embryonic, or look \
            for the sender of a flood of first packets.";
        DropMissingStage: "Restart the agent of this node, which loads the programs again. If the counter still \
            rises, please report it as a bug.";
    }
    others {
        SocketTranslated AffinityHit UdpFlowMoved MapFull PacketTranslated PacketForwarded EchoReply
        FlowOpened SnatPortChanged EventLost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;

    #[test]
    fn every_refusal_has_advice_and_nothing_else_has() {
        for counter in Counter::ALL {
            let is_refusal = counter.label().0 != Outcome::Done;
            assert_eq!(counter.advice().is_some(), is_refusal, "{counter:?}");
            assert!(counter.advice().is_none_or(|text| text.ends_with('.') && !text.contains("  ")), "{counter:?}");
        }
    }
}
