//! Reads and writes parts of a packet in place.

use core::{arch::asm, hint::assert_unchecked};

use crate::headers::{
    Ethernet, Extension, Icmp, Initiate, Ipv4, Ipv4End, Ipv6, Ipv6Addresses, Ports, Sctp, Tcp, Udp, Vlan,
};

/// A part of a packet. A word at an address that is not a multiple of four is accessed at once, which the kernel allows in
/// packets. The compiler would make two accesses of it.
pub trait Wire: Copy {
    /// Returns a copy of the part.
    ///
    /// # Safety
    /// All of it must be in the packet.
    #[inline(always)]
    unsafe fn read(at: *const Self) -> Self {
        // SAFETY: as the caller has promised. Parts of packets have no invalid values, and an alignment of two, as Ethernet
        // frames have.
        unsafe { *at }
    }

    /// Writes the part.
    ///
    /// # Safety
    /// All of it must be in the packet.
    #[inline(always)]
    unsafe fn write(self, at: *mut Self) {
        // SAFETY: as above.
        unsafe { *at = self }
    }
}

macro_rules! wire {
    ($($kind:ty),*) => { $(impl Wire for $kind {})* };
}

wire!(u8, u16, Ethernet, Extension, Icmp, Initiate, Ports, Sctp, Udp, Vlan);

impl<T: Wire, const N: usize> Wire for [T; N] {}

impl Wire for u32 {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the access reads 32 bits")]
    unsafe fn read(at: *const Self) -> Self {
        let word: u64;
        // SAFETY: as the caller has promised.
        unsafe {
            asm!("{word} = *(u32 *)({at} + 0)", word = out(reg) word, at = in(reg) at, options(pure, readonly, nostack));
            // Otherwise the compiler would clear the upper half again.
            assert_unchecked(word >> 32 == 0);
        }
        word as u32
    }

    #[inline(always)]
    unsafe fn write(self, at: *mut Self) {
        let word = u64::from(self);
        // SAFETY: as the caller has promised.
        unsafe {
            asm!("*(u32 *)({at} + 0) = {word}", word = in(reg) word, at = in(reg) at, options(nostack));
        }
    }
}

impl Wire for Ipv4 {
    #[inline(always)]
    unsafe fn read(at: *const Self) -> Self {
        // SAFETY: as the caller has promised.
        unsafe {
            let source = u32::read(&raw const (*at).source);
            let destination = u32::read(&raw const (*at).destination);
            Self { source, destination, ..*at }
        }
    }
}

impl Wire for Ipv4End {
    #[inline(always)]
    unsafe fn write(self, at: *mut Self) {
        // SAFETY: as the caller has promised.
        unsafe {
            (*at).ttl = self.ttl;
            (*at).protocol = self.protocol;
            (*at).checksum = self.checksum;
            let words = (&raw mut (*at).addresses).cast::<u32>();
            self.addresses[0].write(words);
            self.addresses[1].write(words.add(1));
        }
    }
}

impl Wire for Tcp {
    #[inline(always)]
    unsafe fn read(at: *const Self) -> Self {
        // SAFETY: as the caller has promised.
        unsafe {
            let sequence = u32::read(&raw const (*at).sequence);
            let acknowledgment = u32::read(&raw const (*at).acknowledgment);
            Self { sequence, acknowledgment, ..*at }
        }
    }
}

impl Wire for Ipv6 {
    #[inline(always)]
    unsafe fn read(at: *const Self) -> Self {
        // SAFETY: as the caller has promised.
        unsafe {
            let word = |words: *const [u32; 4], index: usize| u32::read(words.cast::<u32>().add(index));
            let words = |at| [word(at, 0), word(at, 1), word(at, 2), word(at, 3)];
            Self { source: words(&raw const (*at).source), destination: words(&raw const (*at).destination), ..*at }
        }
    }
}

impl Wire for Ipv6Addresses {
    #[inline(always)]
    unsafe fn write(self, at: *mut Self) {
        // SAFETY: as the caller has promised.
        let words = unsafe { (&raw mut (*at).0).cast::<u32>() };
        let [[a, b, c, d], [e, f, g, h]] = self.0;
        for (index, word) in [a, b, c, d, e, f, g, h].into_iter().enumerate() {
            // SAFETY: as the caller has promised.
            unsafe { word.write(words.add(index)) };
        }
    }
}
