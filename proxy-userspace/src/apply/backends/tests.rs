use super::*;

fn flags(map: &Vec<Backend>, backends: &Backends, address: SocketAddr) -> u16 {
    map[backends.id(map, address).unwrap() as usize].flags
}

#[test]
fn s9_a_backend_is_local_as_long_as_one_port_says_so() {
    let (mut map, mut backends) = (vec![Backend::default(); 4], Backends::new(4));
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    let local = Backend::VALID | Backend::LOCAL;
    backends.acquire(&mut map, address, |_| Path::default());
    backends.acquire(&mut map, address, |_| Path::default());
    assert_eq!(flags(&map, &backends, address), Backend::VALID);
    assert!(backends.mark_local(&mut map, address) && !backends.mark_local(&mut map, address));
    assert_eq!(flags(&map, &backends, address), local);
    assert!(!backends.unmark_local(&map, address) && backends.unmark_local(&map, address));
    assert_eq!(flags(&map, &backends, address), local);
    backends.settle(&mut map);
    assert_eq!(flags(&map, &backends, address), Backend::VALID);
    assert_eq!(map[1].generation, 1);
}

#[test]
fn w12_a_draining_backend_keeps_its_id() {
    let (mut map, mut backends) = (vec![Backend::default(); 4], Backends::new(4));
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    assert!(!backends.add_user(&map, address), "no flow knows it");
    let id = backends.acquire(&mut map, address, |_| Path::default()).unwrap();
    assert!(backends.add_user(&map, address));
    assert!(!backends.release(&map, address), "the list is gone, not the flows");
    backends.retire(&mut map, address);
    assert!(map[id as usize].is_valid());
    assert!(backends.release(&map, address));
    backends.retire(&mut map, address);
    assert!(!map[id as usize].is_valid());
}

#[test]
fn s31_an_adopted_local_backend_never_looks_remote() {
    let entry = |flags| encode_entry(flags);
    let mut map = vec![Backend::default(), entry(Backend::LOCAL), Backend::default()];
    let mut backends = Backends::new(3);
    backends.adopt(&map);
    let address = encode::backend_address(&map[1]);
    backends.settle(&mut map);
    assert_eq!(map[1], entry(Backend::LOCAL), "no list names it yet");
    assert_eq!(backends.acquire(&mut map, address, |_| Path::default()), Some(1));
    assert_eq!(map[1], entry(Backend::LOCAL));
    backends.settle(&mut map);
    assert_eq!(map[1], entry(0), "no port says that it is here");
    backends.release(&map, address);
    backends.retire(&mut map, address);
    assert_eq!(map[1], Backend { generation: 7, ..Backend::default() });
}

fn encode_entry(flags: u16) -> Backend {
    let backend = encode::backend(SocketAddr::from(([10, 0, 0, 1], 80)), 7);
    Backend { flags: backend.flags | flags, ..backend }
}

#[test]
fn w08_w09_the_way_to_a_backend_is_written_in_place() {
    let (mut map, mut backends) = (vec![Backend::default(); 4], Backends::new(4));
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    backends.acquire(&mut map, address, |_| Path { is_outward: true, source: 3 });
    assert_eq!(flags(&map, &backends, address), Backend::VALID | 3 << 8);
    backends.mark_local(&mut map, address);
    assert_eq!(flags(&map, &backends, address), Backend::VALID | Backend::REPLIES_BYPASS | 3 << 8);
    assert!(backends.replies_bypass(&map, address));
    let home = Path { is_outward: false, source: 0 };
    assert!(backends.set_paths(&mut map, &[(address.ip(), home)].into()).is_empty());
    assert_eq!(flags(&map, &backends, address), Backend::VALID | Backend::LOCAL);
    let out = Path { is_outward: true, source: 2 };
    assert_eq!(backends.set_paths(&mut map, &[(address.ip(), out)].into()), [address]);
    assert!(backends.set_paths(&mut map, &[(address.ip(), out)].into()).is_empty(), "said once");
    assert_eq!(backends.sources(), [2].into());
    assert_eq!(backends.addresses(&map, |_| true), [address.ip()].into());
    assert!(backends.addresses(&map, |other| other != address.ip()).is_empty());
}
