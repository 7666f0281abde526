//! After any sequence of changes, the filters let through what is in force and, once cleared, nothing else.

use proptest::{prelude::*, sample::select};
use proxy_common::Tuple;

use super::*;

type Arrays = FilterArrays<Vec<u8>>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Frontend(Frontend),
    Network(IpNet, NetworkKind),
    Node(IpAddr),
    Backend(IpAddr),
}

#[derive(Clone, Debug)]
enum Step {
    Put(Reason),
    Remove(prop::sample::Index),
    Clear,
    Restart,
}

fn arrays() -> Arrays {
    FilterArrays { addresses: vec![0; 1 << 16], ports: vec![0; 1 << 16] }
}

fn snat() -> SnatPorts {
    SnatPorts::parse("32768 60999", "8080").unwrap()
}

fn put(filters: &mut Filters, arrays: &mut Arrays, reason: &Reason) {
    match reason {
        Reason::Frontend(frontend) => filters.put_frontend(arrays, frontend),
        Reason::Network(net, kind) => filters.put_network(arrays, *net, *kind),
        Reason::Node(address) => filters.put_node(arrays, *address),
        Reason::Backend(address) => filters.put_local_backend(arrays, *address),
    }
}

fn remove(filters: &mut Filters, reason: &Reason) {
    match reason {
        Reason::Frontend(frontend) => filters.remove_frontend(frontend),
        Reason::Network(net, kind) => filters.remove_network(*net, *kind),
        Reason::Node(address) => filters.remove_node(*address),
        Reason::Backend(address) => filters.remove_local_backend(*address),
    }
}

fn clear(filters: &mut Filters, arrays: &mut Arrays, needs: &Needs) {
    if let Some(stale) = filters.take_stale() {
        filters.clear(arrays, stale, needs);
    }
}

/// Returns the arrays for these reasons alone.
fn afresh(reasons: &[Reason]) -> Arrays {
    let mut arrays = arrays();
    let mut filters = Filters::adopt(&mut arrays, snat());
    for reason in reasons {
        put(&mut filters, &mut arrays, reason);
    }
    arrays
}

const ADDRESSES: [&str; 7] =
    ["10.96.0.1", "10.96.9.9", "10.97.0.1", "192.0.2.1", "fd00::1", "fd00::2", "fd00:0:0:1::1"];
const NETS: [&str; 7] =
    ["10.96.0.0/12", "10.96.0.0/16", "10.97.0.0/24", "fd00::/112", "fd00::/60", "fc00::/7", "192.0.2.1/32"];
const KINDS: [NetworkKind; 4] =
    [NetworkKind::ServiceCidr, NetworkKind::Direct, NetworkKind::Node, NetworkKind::Loopback];

fn any_address() -> impl Strategy<Value = IpAddr> {
    select(&ADDRESSES[..]).prop_map(|text| text.parse().unwrap())
}

fn any_reason() -> impl Strategy<Value = Reason> {
    let wildcard = (select(&[Address::ANY_IPV4, Address::ANY_IPV6][..]), select(&[8080, 30000, 30001, 40000][..]));
    let protocol = || select(&[6_u8, 17, 132][..]);
    prop_oneof![
        3 => (any_address(), 80..82_u16, protocol()).prop_map(|(address, port, protocol)| {
            Reason::Frontend(Frontend::new(address.into(), port, protocol))
        }),
        1 => any_address().prop_map(|address| Reason::Frontend(Frontend::owner(address.into()))),
        3 => (wildcard, protocol()).prop_map(|((address, port), protocol)| {
            Reason::Frontend(Frontend::new(address, port, protocol))
        }),
        2 => (select(&NETS[..]), select(&KINDS[..])).prop_map(|(net, kind)| Reason::Network(net.parse().unwrap(), kind)),
        1 => any_address().prop_map(Reason::Node),
        2 => any_address().prop_map(Reason::Backend),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_reason().prop_map(Step::Put),
        4 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => Just(Step::Clear),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_filters_are_what_they_would_be_afresh(steps in prop::collection::vec(any_step(), 0..24)) {
        let (mut arrays, mut reasons) = (arrays(), Vec::new());
        let mut filters = Filters::adopt(&mut arrays, snat());
        for step in steps {
            match step {
                Step::Put(reason) => {
                    put(&mut filters, &mut arrays, &reason);
                    reasons.push(reason);
                }
                Step::Remove(index) if !reasons.is_empty() => {
                    remove(&mut filters, &reasons.swap_remove(index.index(reasons.len())));
                }
                Step::Remove(_) => {}
                Step::Clear => clear(&mut filters, &mut arrays, &Needs::nothing()),
                Step::Restart => {
                    filters = Filters::adopt(&mut arrays, snat());
                    for reason in &reasons {
                        put(&mut filters, &mut arrays, reason);
                    }
                }
            }
        }
        let wanted = afresh(&reasons);
        for (has, wants) in arrays.addresses.iter().zip(&wanted.addresses) {
            prop_assert_eq!(has & wants, *wants, "an address was denied");
        }
        for (has, wants) in arrays.ports.iter().zip(&wanted.ports) {
            prop_assert_eq!(has & wants & PortClass::NODE_PORT, wants & PortClass::NODE_PORT, "a port was denied");
        }
        clear(&mut filters, &mut arrays, &Needs::nothing());
        prop_assert!(arrays.addresses == wanted.addresses && arrays.ports == wanted.ports);
    }
}

#[test]
fn s29_a_removed_frontend_keeps_its_bits_while_a_flow_goes_on() {
    let mut arrays = arrays();
    let mut filters = Filters::adopt(&mut arrays, snat());
    let node_port = Frontend::new(Address::ANY_IPV4, 30080, 6);
    let backend: IpAddr = [10, 1, 0, 1].into();
    assert_eq!(arrays.ports[30080], PortClass::SNAT);
    filters.put_frontend(&mut arrays, &node_port);
    filters.put_local_backend(&mut arrays, backend);
    assert_eq!((arrays.ports[30080], arrays.addresses[0x0a01]), (PortClass::TCP, AddressClass::LOCAL_BACKEND));
    filters.remove_frontend(&node_port);
    filters.remove_local_backend(backend);
    let mut needs = Needs::nothing();
    needs.add(&Tuple { destination: [192, 0, 2, 1].into(), destination_port: 30080, ..Tuple::default() });
    needs.add(&Tuple { source: backend.into(), ..Tuple::default() });
    clear(&mut filters, &mut arrays, &needs);
    assert_eq!((arrays.ports[30080], arrays.addresses[0x0a01]), (PortClass::TCP, AddressClass::LOCAL_BACKEND));
    clear(&mut filters, &mut arrays, &Needs::nothing());
    assert_eq!((arrays.ports[30080], arrays.addresses[0x0a01]), (PortClass::SNAT, 0));
}

#[test]
fn what_went_and_came_back_meanwhile_is_not_cleared() {
    let mut arrays = arrays();
    let mut filters = Filters::adopt(&mut arrays, snat());
    let address: IpAddr = [10, 1, 0, 1].into();
    filters.put_local_backend(&mut arrays, address);
    filters.remove_local_backend(address);
    let stale = filters.take_stale().unwrap();
    filters.put_local_backend(&mut arrays, address);
    filters.clear(&mut arrays, stale, &Needs::nothing());
    assert_eq!(arrays.addresses[0x0a01], AddressClass::LOCAL_BACKEND);
    assert!(filters.take_stale().is_none());
}
