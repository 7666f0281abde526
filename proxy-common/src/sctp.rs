//! SCTP's checksum, and its changes in place. CRC32c (RFC 9260 appendix A) is linear, so changed ports change it by an amount that
//! depends only on the change and the packet's length. A wrong checksum stays wrong. Pure.

/// Castagnoli's polynomial. Bits are reflected throughout: bit 31 stands for x⁰.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// Number of bits of a packet's length.
const LENGTH_BITS: usize = 16;

/// `FACTORS[n][bit]`: the factor for bit n of a length. It is 1 if the bit is 0, else x to the power of 8 · 2ⁿ, which stands for
/// 2ⁿ zero bytes. The table has both, because a branch would double the verifier's work for each bit.
static FACTORS: [[u32; 2]; LENGTH_BITS] = {
    let mut table = [[1 << 31; 2]; LENGTH_BITS];
    table[0][1] = 1 << (31 - 8);
    let mut index = 1;
    while index < LENGTH_BITS {
        table[index][1] = multiply(table[index - 1][1], table[index - 1][1]);
        index += 1;
    }
    table
};

/// The product of two polynomials modulo [`POLYNOMIAL`], without branches.
#[inline(always)]
const fn multiply(a: u32, mut b: u32) -> u32 {
    let (mut product, mut bit) = (0, 32);
    while bit > 0 {
        bit -= 1;
        product ^= b & (a >> bit & 1).wrapping_neg();
        b = b >> 1 ^ POLYNOMIAL & (b & 1).wrapping_neg();
    }
    product
}

/// The value to XOR into the checksum of an SCTP packet of `length` bytes, if its first word (both ports in host byte order,
/// source first) was XORed with `change`.
#[inline(always)]
pub fn crc32c_change(change: u32, length: usize) -> u32 {
    let mut crc = change.swap_bytes();
    for (bit, factors) in FACTORS.iter().enumerate() {
        crc = multiply(crc, factors[length >> bit & 1]);
    }
    crc
}

/// The checksum of an SCTP packet whose checksum field is 0. The header has it in little-endian order.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ POLYNOMIAL & (crc & 1).wrapping_neg())
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s28_a_change_of_ports_changes_the_checksum_as_a_new_sum_would() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the reference is CRC32c");
        let mut packet = [0x5a_u8; 1500];
        for length in [12, 13, 28, 1499, 1500] {
            let before = crc32c(&packet[..length]);
            let change = 0x1234_f0e1_u32;
            for (byte, change) in packet.iter_mut().zip(change.to_be_bytes()) {
                *byte ^= change;
            }
            assert_eq!(before ^ crc32c_change(change, length), crc32c(&packet[..length]), "{length} bytes");
        }
    }
}
