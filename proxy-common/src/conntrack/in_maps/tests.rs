use core::borrow::Borrow as _;

use super::*;
use crate::{State, TcpFlags};

fn is_found_by_its_key_alone<B: SharedBucket>(key: Tuple) {
    let mut bucket = B::default();
    let shared = Shared::of(&mut bucket);
    assert!(B::is_vacant(shared));
    B::key_of(shared).write(B::Entry::key(&key).borrow());
    assert!(!B::is_vacant(shared) && B::has(shared, B::Entry::key(&key).borrow()));
    for other in [
        Tuple { source: key.destination, ..key },
        Tuple { destination: key.source, ..key },
        Tuple { source_port: 2, ..key },
        Tuple { destination_port: 1, ..key },
        Tuple { protocol: 17, ..key },
    ] {
        assert!(!B::has(shared, B::Entry::key(&other).borrow()), "{other:?}");
    }
}

/// Two addresses that differ in one word.
fn neighbours(word: usize) -> [Address; 2] {
    let mut words = [1, 2, 3, 4];
    words[word] = 9;
    [Address::from_words([1, 2, 3, 4]), Address::from_words(words)]
}

#[test]
fn a_bucket_is_found_by_its_key_alone() {
    let key = Tuple { source_port: 1, destination_port: 2, protocol: 6, ..Tuple::default() };
    let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    is_found_by_its_key_alone::<Ipv4Bucket>(Tuple { source, destination, ..key });
    for [source, destination] in (0..4).map(neighbours) {
        is_found_by_its_key_alone::<Ipv6Bucket>(Tuple { source, destination, ..key });
    }
}

fn is_copied_and_compared_by_its_translation<E: SharedEntry>([source, destination]: [Address; 2]) {
    let meta = EntryMeta { expires: 3, service: 4, flags: EntryMeta::REPLY, handshake: 5, ..EntryMeta::default() };
    let flow = ConntrackEntry { source, destination, source_port: 1, destination_port: 2, meta };
    let mut entry = *E::narrow(&flow).borrow();
    let shared = Shared::of(&mut entry);
    let mut copy = ConntrackEntry::default();
    E::copy_to(shared, &mut copy);
    assert_eq!((copy, E::meta_of(shared).read()), (flow, meta));
    let other = ConntrackEntry { meta: EntryMeta::default(), ..flow };
    E::translation_of(shared).widen(&mut copy);
    assert_eq!(copy, other);
    assert!(E::same_translation(shared, E::narrow(&other).borrow()));
    for other in [
        ConntrackEntry { source_port: 9, ..flow },
        ConntrackEntry { destination_port: 9, ..flow },
        ConntrackEntry { source: destination, ..flow },
        ConntrackEntry { destination: source, ..flow },
    ] {
        assert!(!E::same_translation(shared, E::narrow(&other).borrow()), "{other:?}");
    }
}

#[test]
fn an_entry_is_copied_and_compared_by_its_translation() {
    is_copied_and_compared_by_its_translation::<Ipv4ConntrackEntry>([[10, 0, 0, 1].into(), [192, 0, 2, 77].into()]);
    (0..4).map(neighbours).for_each(is_copied_and_compared_by_its_translation::<ConntrackEntry>);
}

#[test]
fn s40_an_entry_in_a_map_notes_what_its_copy_does() {
    let meta = EntryMeta { service_generation: u32::MAX, handshake: 77_000, ..EntryMeta::default() };
    for end in [u32::MAX, u32::MAX - 1, 0, 5000, 1 << 30] {
        for acknowledgment in [77_000, 76_999, 90_000, 1 << 31] {
            let segment = Segment { start: 0, end, acknowledgment, flags: TcpFlags(TcpFlags::ACK) };
            let (mut copy, mut value) = (meta, meta);
            let _ = copy.note(&segment);
            let shared = Shared::of(&mut value);
            shared.note_plain(&segment);
            assert_eq!(shared.read(), copy, "{segment:?}");
        }
    }
}

#[test]
fn an_entry_takes_over_what_it_shares_and_nothing_else() {
    let other = EntryMeta {
        expires: 1,
        service: 2,
        state: State::Established as u8,
        flags: EntryMeta::SYN_SEEN,
        opened: 5,
        service_generation: 3,
        handshake: 4,
        ..EntryMeta::default()
    };
    let mut value = EntryMeta::default();
    let meta = Shared::of(&mut value);
    meta.copy_numbers(&other);
    assert_eq!(meta.read(), EntryMeta { expires: 0, service: 0, state: 0, opened: 0, ..other });
    meta.copy_state(&other);
    assert_eq!(meta.read(), EntryMeta { service: 0, opened: 0, ..other });
    meta.opened().write(&4);
    meta.open_again(&other);
    assert_eq!(meta.read(), EntryMeta { opened: 4, ..other });
    assert!(meta.is_expired(1) && !meta.is_expired(0) && meta.is_stale(0, 10, 5) && !meta.is_stale(0, 6, 5));
}
