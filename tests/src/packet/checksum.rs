//! The checksums of the Internet, computed in the simplest way.

/// The ones' complement sum over bytes as 16-bit words (RFC 1071).
pub fn internet_sum(bytes: &[u8]) -> u16 {
    bytes.chunks(2).fold(0, |sum: u16, pair| {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

/// The checksum that makes the sum over bytes and itself right.
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    !internet_sum(bytes)
}

/// SCTP's checksum (RFC 9260, appendix A), in the byte order that it has in the header.
pub fn crc32c(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x82f6_3b78 };
        }
    }
    (!crc).to_le_bytes()
}
