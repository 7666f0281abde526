//! Internet checksums changed in place (RFC 1624): a wrong one stays wrong by the same amount. Pure.

/// What a change of some words does to a ones' complement sum over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Difference(u64);

impl Difference {
    /// No change.
    pub const NONE: Self = Self(0);

    /// Replaces `old` by `new`: two words of any width up to 32 bits, as they lie in memory, at an even offset.
    #[inline(always)]
    pub const fn replace(self, old: u32, new: u32) -> Self {
        Self(self.0 + !old as u64 + new as u64)
    }

    /// Replaces four words, such as an [`Address`](crate::Address).
    #[inline(always)]
    pub const fn replace_address(self, old: [u32; 4], new: [u32; 4]) -> Self {
        self.replace(old[0], new[0]).replace(old[1], new[1]).replace(old[2], new[2]).replace(old[3], new[3])
    }

    /// Both changes.
    #[inline(always)]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// As a 32-bit ones' complement sum: what `bpf_l4_csum_replace` takes.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        #[expect(clippy::cast_possible_truncation, reason = "folded")]
        let word = ((sum & 0xffff_ffff) + (sum >> 32)) as u32;
        word
    }

    /// The checksum field after the change; field and result as they lie in memory (RFC 1624, equation 3).
    #[inline(always)]
    pub const fn apply(self, checksum: u16) -> u16 {
        let sum = self.word() as u64 + (!checksum) as u64;
        !fold(sum)
    }
}

/// A sum of words as the 16-bit ones' complement sum.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
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
}
