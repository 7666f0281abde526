//! In-place changes of Internet checksums (RFC 1624). A wrong checksum stays wrong by the same amount. Pure.

/// The change of a ones' complement sum when some of its words change: a number that counts modulo 0xffff. It has to be made of
/// fewer than 64 changed words, so that its absolute value stays below 2³⁸.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Difference(i64);

impl Difference {
    /// No change.
    pub const NONE: Self = Self(0);

    /// A multiple of 0xffff that is large enough to make every difference positive.
    const ZERO: i64 = 0xffff << 22;

    /// Adds the replacement of `old` by `new`: words of up to 32 bits, as loaded from a packet, at an even offset.
    #[inline(always)]
    pub const fn replace(self, old: u32, new: u32) -> Self {
        Self(self.0 + new as i64 - old as i64)
    }

    /// Adds the replacement of four words, such as an [`Address`](crate::Address).
    #[inline(always)]
    pub const fn replace_address(self, old: [u32; 4], new: [u32; 4]) -> Self {
        self.replace(old[0], new[0]).replace(old[1], new[1]).replace(old[2], new[2]).replace(old[3], new[3])
    }

    /// The sum of both changes.
    #[inline(always)]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    #[inline(always)]
    const fn sum(self) -> u64 {
        (self.0 + Self::ZERO).cast_unsigned()
    }

    /// The change as a 32-bit ones' complement sum, which `bpf_l4_csum_replace` takes.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        let sum = (self.sum() & 0xffff_ffff) + (self.sum() >> 32);
        #[expect(clippy::cast_possible_truncation, reason = "folded")]
        let word = ((sum & 0xffff_ffff) + (sum >> 32)) as u32;
        word
    }

    /// The checksum field after the change. Field and result are as loaded from the packet (RFC 1624, equation 3).
    #[inline(always)]
    pub const fn apply(self, checksum: u16) -> u16 {
        !fold(self.sum() + (!checksum) as u64)
    }
}

/// Folds a sum of fewer than 64 words of 32 bits into a 16-bit ones' complement sum, which is 0 only if all words are.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    // The sum's 39 bits become 24, then 17, then 16: the uppermost of the 17 bits is 1 only if the others are few.
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    #[expect(clippy::cast_possible_truncation, reason = "folded")]
    let folded = ((sum & 0xffff) + (sum >> 16)) as u16;
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(words: &[u16]) -> u16 {
        !fold(words.iter().map(|word| u64::from(*word)).sum())
    }

    fn equal(a: u16, b: u16) -> bool {
        a == b || (a.is_multiple_of(0xffff) && b.is_multiple_of(0xffff))
    }

    #[test]
    fn s28_a_change_in_place_equals_a_new_sum() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        for _ in 0..10_000 {
            #[expect(clippy::cast_possible_truncation, reason = "random bits")]
            let mut words: [u16; 12] = core::array::from_fn(|_| next() as u16);
            let before = checksum(&words);
            let old: [u32; 2] = bytemuck::cast([words[4], words[5], words[6], words[7]]);
            #[expect(clippy::cast_possible_truncation, reason = "random bits")]
            let new: [u32; 2] = [next() as u32, next() as u32];
            words[4..8].copy_from_slice(&bytemuck::cast::<_, [u16; 4]>(new));
            let difference = Difference::NONE.replace(old[0], new[0]).replace(old[1], new[1]);
            assert!(equal(difference.apply(before), checksum(&words)));
            let wrong = before.wrapping_add(1);
            assert!(!equal(difference.apply(wrong), checksum(&words)), "a wrong checksum stays wrong");
        }
    }

    #[test]
    fn s28_as_many_words_as_are_allowed_change() {
        let changes = |old, new| (0..63).fold(Difference::NONE, |difference, _| difference.replace(old, new));
        let ends = [(0, u32::MAX - 1), (u32::MAX - 1, 0), (0, 0), (u32::MAX, 0x8000_0000)];
        for ((old, new), checksum) in ends.into_iter().flat_map(|ends| [(ends, 0), (ends, 1), (ends, 0xfffe)]) {
            let by = (i64::from(new) - i64::from(old)) * 63;
            let wanted = (i64::from(!checksum) + by).rem_euclid(0xffff);
            assert_eq!(i64::from(!changes(old, new).apply(checksum)) % 0xffff, wanted, "{old:x} {new:x} {checksum:x}");
            assert_eq!(i64::from(changes(old, new).word()) % 0xffff, by.rem_euclid(0xffff), "{old:x} {new:x}");
        }
    }
}
