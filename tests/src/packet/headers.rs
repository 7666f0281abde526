//! Ethernet with VLAN tags, and IPv6 extension headers (RFC 8200).

/// An Ethernet address.
pub type Mac = [u8; 6];

/// An Ethernet header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Destination.
    pub destination: Mac,
    /// Source.
    pub source: Mac,
    /// VLAN tags, the outermost first; of two the outer is a service tag (802.1ad).
    pub vlans: Vec<u16>,
}

impl Default for Ethernet {
    /// From the router to the uplink of the bench node.
    fn default() -> Self {
        Self { destination: [2, 0, 0, 0, 0, 1], source: [2, 0, 0, 0, 1, 0xfe], vlans: Vec::new() }
    }
}

impl Ethernet {
    pub(super) fn write(&self, frame: &mut Vec<u8>, ether_type: u16) {
        frame.extend(self.destination);
        frame.extend(self.source);
        for (index, vlan) in self.vlans.iter().enumerate() {
            let tag: u16 = if index + 1 < self.vlans.len() { 0x88a8 } else { 0x8100 };
            frame.extend(tag.to_be_bytes());
            frame.extend(vlan.to_be_bytes());
        }
        frame.extend(ether_type.to_be_bytes());
    }
}

/// An IPv6 extension header other than the fragment header. `units` is its length in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options: padding only.
    HopByHop {
        /// Length in eight bytes, at least 1.
        units: u8,
    },
    /// Destination options: padding only.
    Destination {
        /// Length in eight bytes, at least 1.
        units: u8,
    },
    /// A routing header (type 4) that is done or has segments left.
    Routing {
        /// Length in eight bytes, at least 1.
        units: u8,
        /// Segments left.
        left: u8,
    },
}

impl Extension {
    /// The protocol number by which the header before names this one.
    pub fn number(self) -> u8 {
        match self {
            Self::HopByHop { .. } => 0,
            Self::Destination { .. } => 60,
            Self::Routing { .. } => 43,
        }
    }

    pub(super) fn write(self, packet: &mut Vec<u8>, next: u8) {
        let (Self::HopByHop { units } | Self::Destination { units } | Self::Routing { units, .. }) = self;
        let start = packet.len();
        packet.extend([next, units - 1]);
        let end = start + usize::from(units) * 8;
        if let Self::Routing { left, .. } = self {
            packet.extend([4, left]);
        } else {
            // PadN takes the rest (RFC 8200 §4.2).
            let padding = u8::try_from(end - packet.len() - 2).expect("short options");
            packet.extend([1, padding]);
        }
        packet.resize(end, 0);
    }
}
