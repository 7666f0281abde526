//! The choice of a slot: pure, so that the host can test its distribution.

/// Maps a uniformly random `random` to an index below `length` (S23), by multiplication instead of a
/// division: the bias is at most `length` / 2³². Returns 0 for an empty range, which callers refuse first.
#[inline(always)]
pub const fn slot_index(random: u32, length: u32) -> u32 {
    ((random as u64 * length as u64) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

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
