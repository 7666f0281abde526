//! The choice of a slot: pure, so that the host can test its distribution.

use crate::conntrack::Tuple;

/// Maps a uniformly random `random` to an index below `length` (S23), by multiplication instead of division: the bias is at most
/// `length` / 2³². Returns 0 for an empty range, which callers refuse first.
#[inline(always)]
pub const fn slot_index(random: u32, length: u32) -> u32 {
    ((random as u64 * length as u64) >> 32) as u32
}

/// A pseudo-random number for a TCP connection, which can't be predicted without `secret`. A retransmitted SYN gets the same
/// number, since the initial sequence number is a part of it. That differs from one connection to the next (RFC 6528).
#[inline(always)]
pub const fn connection_number(tuple: &Tuple, sequence: u32, secret: u64) -> u32 {
    let [a, b, c, d] = tuple.source.words();
    let [_, _, e, f] = tuple.destination.words();
    let ports = (tuple.source_port as u32) << 16 | tuple.destination_port as u32;
    // Products that don't depend on each other, then one of all.
    let (prefix, host) = (spread(pair(a, b) ^ secret), spread(pair(c, d) ^ secret.rotate_left(17)));
    high(spread(prefix ^ host ^ spread(pair(e ^ sequence, f ^ ports))))
}

/// A pseudo-random number for each attempt, derived from `random`.
#[inline(always)]
pub const fn attempt_number(random: u32, attempt: u32) -> u32 {
    high(spread(spread(pair(random, attempt))))
}

#[inline(always)]
pub(crate) const fn pair(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

/// One round of a multiplicative hash: each bit changes the bits above it, and these change the bits below.
#[inline(always)]
pub(crate) const fn spread(word: u64) -> u64 {
    /// 2⁶⁴ ÷ the golden ratio, odd.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = word.wrapping_mul(FACTOR);
    product ^ product >> 32
}

#[inline(always)]
const fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that connections which differ in one thing are spread evenly.
    fn differs(change: impl Fn(&mut Tuple, &mut u32, u32)) {
        const SLOTS: u32 = 16;
        const CONNECTIONS: u32 = 16_000;
        let mut found = [0_u32; SLOTS as usize];
        for index in 0..CONNECTIONS {
            let (mut tuple, mut sequence) = (Tuple::default(), 0);
            change(&mut tuple, &mut sequence, index);
            let number = connection_number(&tuple, sequence, 0x0123_4567_89ab_cdef);
            found[slot_index(number, SLOTS) as usize] += 1;
        }
        // A thousand each, within five standard deviations.
        assert!(found.iter().all(|count| count.abs_diff(CONNECTIONS / SLOTS) < 155), "{found:?}");
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "below 2^16")]
    fn s23_connections_are_spread_evenly_whatever_they_differ_in() {
        differs(|_, sequence, index| *sequence = index);
        differs(|_, sequence, index| *sequence = index << 16);
        differs(|tuple, _, index| tuple.source_port = index as u16);
        differs(|tuple, _, index| tuple.source = [10, 0, (index >> 8) as u8, index as u8].into());
        differs(|tuple, _, index| tuple.source = crate::Address::from_words([1, index, 2, 3]));
        differs(|tuple, _, index| tuple.source = crate::Address::from_words([index.to_be(), 0, 2, 3]));
    }

    #[test]
    fn a_secret_decides() {
        let number = |secret| connection_number(&Tuple::default(), 7, secret);
        assert_eq!(number(1), number(1));
        assert_ne!(number(1), number(2));
    }

    #[test]
    fn s23_every_index_is_in_range_and_equally_wide() {
        for length in [1, 2, 3, 10, 1000] {
            assert_eq!(slot_index(0, length), 0);
            assert_eq!(slot_index(u32::MAX, length), length - 1);
            let step = (1_u64 << 32) / u64::from(length);
            for index in 0..length {
                let middle = u32::try_from(step * u64::from(index) + step / 2).unwrap();
                assert_eq!(slot_index(middle, length), index);
            }
        }
    }
}
