//! Writes ADDRESS_FILTER and PORT_FILTER, which tell the programs which packets are worth a lookup. Bits are set before the
//! entries that need them are written. They are cleared when neither an entry needs them, which is counted here, nor a flow that
//! continues after its Service was removed (S16, S29), which `flows.rs` finds out every now and then.

mod bits;
mod flows;
mod span;

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use proxy_common::{
    Address, Frontend,
    filter::{AddressClass, PortClass},
};

use self::bits::{Bits, Span};
pub use self::flows::Needs;
use crate::{
    desired::NetworkKind,
    maps::{filters::FilterArrays, store::Elements},
    node::snat_ports::SnatPorts,
};

const ADDRESS_BITS: [u8; 4] =
    [AddressClass::NODE, AddressClass::SERVICE, AddressClass::LOCAL_BACKEND, AddressClass::ANY_BACKEND];
const PORT_BITS: [u8; 4] = [PortClass::TCP, PortClass::UDP, PortClass::SCTP, PortClass::SERVICE];

/// The contents of the two arrays, and the reasons for them. Methods that write the arrays take them as an argument.
#[derive(Debug)]
pub struct Filters {
    addresses: Bits,
    ports: Bits,
    has_source_rules: bool,
    snat: SnatPorts,
}

/// Filter entries to be cleared unless a flow needs them.
#[derive(Debug)]
pub struct Stale {
    addresses: BTreeSet<u16>,
    ports: BTreeSet<u16>,
}

impl Filters {
    /// Takes over arrays that an earlier agent may have written. Its bits stay until [`Filters::clear`].
    pub fn adopt(arrays: &mut FilterArrays<impl Elements<u8>>, snat: SnatPorts) -> Self {
        let addresses = Bits::adopt(&arrays.addresses, !AddressClass::RULES);
        let ports = Bits::adopt(&arrays.ports, PortClass::NODE_PORT | PortClass::SERVICE);
        let has_source_rules = arrays.addresses.get(0).is_some_and(|bits| bits & AddressClass::RULES != 0);
        let filters = Self { addresses, ports, has_source_rules, snat };
        bits::entries().for_each(|port| filters.settle_snat(&mut arrays.ports, port));
        filters
    }

    /// To be called before a frontend or owner's mark is written for the first time.
    pub fn put_frontend(&mut self, arrays: &mut FilterArrays<impl Elements<u8>>, frontend: &Frontend) {
        match frontend_span(frontend) {
            FrontendSpan::Address(span) => {
                self.addresses.put(&mut arrays.addresses, &span, AddressClass::SERVICE);
                self.ports.put(&mut arrays.ports, &Span::Entries(vec![frontend.port]), PortClass::SERVICE);
            }
            FrontendSpan::Port(port, bit) => {
                self.ports.put(&mut arrays.ports, &Span::Entries(vec![port]), bit);
                self.settle_snat(&mut arrays.ports, port);
            }
        }
    }

    /// To be called after a frontend or owner's mark has been removed.
    pub fn remove_frontend(&mut self, frontend: &Frontend) {
        match frontend_span(frontend) {
            FrontendSpan::Address(span) => {
                self.addresses.remove(&span, AddressClass::SERVICE);
                self.ports.remove(&Span::Entries(vec![frontend.port]), PortClass::SERVICE);
            }
            FrontendSpan::Port(port, bit) => self.ports.remove(&Span::Entries(vec![port]), bit),
        }
    }

    /// To be called before a prefix of NETWORKS is written with this kind.
    pub fn put_network(&mut self, arrays: &mut FilterArrays<impl Elements<u8>>, net: IpNet, kind: NetworkKind) {
        if let Some(bit) = network_bit(kind) {
            self.addresses.put(&mut arrays.addresses, &span::of_prefix(net), bit);
        }
    }

    /// To be called after a prefix of NETWORKS has been removed, or has got another kind than this one.
    pub fn remove_network(&mut self, net: IpNet, kind: NetworkKind) {
        if let Some(bit) = network_bit(kind) {
            self.addresses.remove(&span::of_prefix(net), bit);
        }
    }

    /// To be called before this node forwards with `address` as the source.
    pub fn put_node(&mut self, arrays: &mut FilterArrays<impl Elements<u8>>, address: IpAddr) {
        self.addresses.put(&mut arrays.addresses, &span::of_address(address), AddressClass::NODE);
    }

    /// To be called when this node does not forward with `address` as the source any more.
    pub fn remove_node(&mut self, address: IpAddr) {
        self.addresses.remove(&span::of_address(address), AddressClass::NODE);
    }

    /// To be called before a frontend leads to a backend at `address` that is on this node.
    pub fn put_local_backend(&mut self, arrays: &mut FilterArrays<impl Elements<u8>>, address: IpAddr) {
        self.addresses.put(&mut arrays.addresses, &span::of_address(address), AddressClass::LOCAL_BACKEND);
    }

    /// To be called when a backend at `address` is not on this node any more.
    pub fn remove_local_backend(&mut self, address: IpAddr) {
        self.addresses.remove(&span::of_address(address), AddressClass::LOCAL_BACKEND);
    }

    /// To be called before a list names a backend at `address`.
    pub fn put_any_backend(&mut self, arrays: &mut FilterArrays<impl Elements<u8>>, address: IpAddr) {
        self.addresses.put(&mut arrays.addresses, &span::of_address(address), AddressClass::ANY_BACKEND);
    }

    /// To be called when a list does not name a backend at `address` any more.
    pub fn remove_any_backend(&mut self, address: IpAddr) {
        self.addresses.remove(&span::of_address(address), AddressClass::ANY_BACKEND);
    }

    /// Sets whether rules of policy routing may route a backend's replies differently from packets of the frontend's address.
    /// The bit is written at once, since no flow depends on it.
    pub fn set_source_rules(&mut self, arrays: &mut FilterArrays<impl Elements<u8>>, has_source_rules: bool) {
        if has_source_rules == self.has_source_rules {
            return;
        }
        self.has_source_rules = has_source_rules;
        for entry in bits::entries().map(u32::from) {
            let before = arrays.addresses.get(entry).unwrap_or(0) & !AddressClass::RULES;
            arrays.addresses.set(entry, if has_source_rules { before | AddressClass::RULES } else { before });
        }
    }

    /// Sets the ports that source translation uses. Returns true if they have changed. Existing flows keep their ports.
    pub fn set_snat(&mut self, arrays: &mut FilterArrays<impl Elements<u8>>, snat: SnatPorts) -> bool {
        let differs = self.snat != snat;
        if differs {
            snat.report(Some(&self.snat));
            self.snat = snat;
            bits::entries().for_each(|port| self.settle_snat(&mut arrays.ports, port));
        }
        differs
    }

    /// Takes out the entries that may have bits without a reason, if there are any. They must come back through
    /// [`Filters::clear`].
    pub fn take_stale(&mut self) -> Option<Stale> {
        let is_any = self.addresses.has_stale() || self.ports.has_stale();
        is_any.then(|| Stale { addresses: self.addresses.take_stale(), ports: self.ports.take_stale() })
    }

    /// Clears stale bits that no flow needs. `needs` must have been read from the flows after `stale` was taken.
    pub fn clear(&mut self, arrays: &mut FilterArrays<impl Elements<u8>>, stale: Stale, needs: &Needs) {
        let Stale { addresses, ports } = stale;
        let cleared: Vec<u16> = ports.iter().copied().collect();
        self.addresses.clear(&mut arrays.addresses, addresses, &ADDRESS_BITS, |entry| needs.address(entry));
        self.ports.clear(&mut arrays.ports, ports, &PORT_BITS, |port| needs.port(port));
        for port in cleared {
            self.settle_snat(&mut arrays.ports, port);
        }
    }

    /// Gives a port its bits for source translation, or none if it may be a node port.
    fn settle_snat(&self, array: &mut impl Elements<u8>, port: u16) {
        let before = array.get(port.into()).unwrap_or(0);
        let served = before & (PortClass::NODE_PORT | PortClass::SERVICE);
        let after = if served & PortClass::NODE_PORT == 0 { served | self.snat.class(port) } else { served };
        if after != before {
            array.set(port.into(), after);
        }
    }
}

enum FrontendSpan {
    Address(Span),
    /// A port number and its bit.
    Port(u16, u8),
}

fn frontend_span(frontend: &Frontend) -> FrontendSpan {
    if [Address::ANY_IPV4, Address::ANY_IPV6].contains(&frontend.address) {
        FrontendSpan::Port(frontend.port, PortClass::of_protocol(frontend.protocol))
    } else {
        FrontendSpan::Address(span::of_address(frontend.address.into()))
    }
}

const fn network_bit(kind: NetworkKind) -> Option<u8> {
    match kind {
        NetworkKind::ServiceCidr => Some(AddressClass::SERVICE),
        NetworkKind::Node => Some(AddressClass::NODE),
        // No packet from outside has a loopback address, and packets to direct addresses pass, with a lookup or without.
        NetworkKind::Loopback | NetworkKind::Direct => None,
    }
}

#[cfg(test)]
mod tests;
