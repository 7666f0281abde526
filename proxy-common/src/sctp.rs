//! SCTP's checksum, and its changes in place. CRC32c (RFC 9260 appendix A) is linear, so changed ports change it by an amount that
//! depends only on the change and the packet's length. A wrong checksum stays wrong. Pure.

/// Castagnoli's polynomial. Bits are reflected throughout: bit 31 stands for x⁰.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// Number of hexadecimal digits of a packet's length.
const DIGITS: usize = 4;

/// `FACTORS[digit][value]`: x to the power of 8 · value · 16^digit, which stands for value · 16^digit zero bytes.
static FACTORS: [[u32; 16]; DIGITS] = {
    let mut table = [[1 << 31; 16]; DIGITS];
    let (mut digit, mut unit) = (0, 1 << (31 - 8));
    while digit < DIGITS {
        let mut value = 1;
        while value < 16 {
            table[digit][value] = multiply(table[digit][value - 1], unit);
            value += 1;
        }
        unit = multiply(table[digit][15], unit);
        digit += 1;
    }
    table
};

/// `REMAINDERS[n]`: n · x³² modulo [`POLYNOMIAL`], for the four highest powers of a polynomial.
static REMAINDERS: [u32; 16] = {
    let mut table = [0; 16];
    let (mut index, mut number) = (0, 0);
    while index < 16 {
        let (mut remainder, mut bit) = (number, 0);
        while bit < 4 {
            remainder = (remainder >> 1) ^ (POLYNOMIAL * (remainder & 1));
            bit += 1;
        }
        table[index] = remainder;
        (index, number) = (index + 1, number + 1);
    }
    table
};

/// The product of two polynomials modulo [`POLYNOMIAL`], without a loop over bits, whose branches are costly for the verifier.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn multiply(a: u32, b: u32) -> u32 {
    let product = multiply_without_carries(a, b) << 1;
    let (mut remainder, mut digit) = (product as u32, 0);
    while digit < 8 {
        remainder = (remainder >> 4) ^ REMAINDERS[(remainder & 15) as usize];
        digit += 1;
    }
    (product >> 32) as u32 ^ remainder
}

/// The product of two polynomials with bits as coefficients. Multiplies numbers in which three of four bits are 0: no carry
/// reaches the next bit that counts, since at most eight bits are added.
#[inline(always)]
const fn multiply_without_carries(a: u32, b: u32) -> u64 {
    const EVERY_FOURTH: u64 = 0x1111_1111_1111_1111;
    let (a, b) = (a as u64, b as u64);
    let mut product = 0;
    let mut offset = 0;
    while offset < 4 {
        let mut sum = 0;
        let mut part = 0;
        while part < 4 {
            let other = (4 + offset - part) % 4;
            sum ^= (a & (EVERY_FOURTH << part)) * (b & (EVERY_FOURTH << other));
            part += 1;
        }
        product |= sum & (EVERY_FOURTH << offset);
        offset += 1;
    }
    product
}

/// The value to XOR into the checksum of an SCTP packet of `length` bytes, below 65,536, if its first word (both ports in host
/// byte order, source first) was XORed with `change`.
#[inline(always)]
pub fn crc32c_change(change: u32, length: u32) -> u32 {
    let mut crc = change.swap_bytes();
    for (digit, factors) in FACTORS.iter().enumerate() {
        crc = multiply(crc, factors[((length >> (4 * digit)) & 15) as usize]);
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
    extern crate std;

    use std::vec;

    use super::*;

    #[test]
    fn s28_a_change_of_ports_changes_the_checksum_as_a_new_sum_would() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the reference is CRC32c");
        let mut packet = vec![0x5a_u8; 65_535];
        for length in [12_u16, 13, 28, 1499, 1500, 65_535] {
            let before = crc32c(&packet[..length.into()]);
            let change = 0x1234_f0e1_u32;
            for (byte, change) in packet.iter_mut().zip(change.to_be_bytes()) {
                *byte ^= change;
            }
            assert_eq!(
                before ^ crc32c_change(change, length.into()),
                crc32c(&packet[..length.into()]),
                "{length} bytes"
            );
        }
    }
}
