//! Map values that other CPUs and the agent may read and write while a program uses them. A Rust reference promises that there
//! are no other writers, so none is made to such a value: a [`Shared`] copies out and in.
//!
//! # What a copy may show
//!
//! [`Shared::read`] and [`Shared::write`] are READ_ONCE and WRITE_ONCE of Linux's memory model
//! (`tools/memory-model/Documentation/explanation.txt`), word by word: the compiler makes one instruction for each word, and the
//! kernel's JIT compiler one for each of these.
//!
//! - One word is never torn: a reader finds its value from before or after another CPU's write.
//! - Several words may be: some are from before the write, some from after. Code that needs them to belong together checks it, as
//!   `flow/bucket.rs` does with a version.
//! - If two CPUs write a word, the later write stays. If each writes what it has computed from the previous value, one of the two
//!   steps is lost.
//! - The compiler keeps these reads and writes in the order of the program, leaves none out and adds none. An x86 processor
//!   keeps the order of reads, and that of writes. An arm64 processor may swap two reads, or two writes, of different words,
//!   unless the second takes its address from the first. BPF had no instruction that only orders reads before load-acquire
//!   (Linux 6.15). Its atomic operations that return a value are full barriers, but they write: each reader would take the
//!   cache line from the others. Code that relies on an order of reads says what happens on arm64.

#![expect(unsafe_code, reason = "a shared value is behind a raw pointer")]

use core::{mem::MaybeUninit, ptr::NonNull};

use bytemuck::Pod;

/// A value that other CPUs and the agent may read and write at any time.
#[repr(transparent)]
pub struct Shared<T>(NonNull<T>);

impl<T> Clone for Shared<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

impl<T> Shared<T> {
    /// The value at `pointer`.
    ///
    /// # Safety
    ///
    /// `pointer` must be aligned, and valid for reads and writes for as long as any copy of the result is used. During that time
    /// no reference to the value may be used.
    #[inline(always)]
    pub const unsafe fn new(pointer: NonNull<T>) -> Self {
        Self(pointer)
    }

    /// A pointer to the value, for helpers and atomic operations.
    #[inline(always)]
    pub const fn as_ptr(self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T: Pod> Shared<T> {
    /// A copy of the value.
    #[inline(always)]
    #[must_use]
    pub fn read(self) -> T {
        let mut copy = MaybeUninit::uninit();
        self.read_into(&mut copy);
        // SAFETY: all bytes have been copied, and any bytes are a value.
        unsafe { copy.assume_init() }
    }

    /// Copies the value to `copy`, without a second copy on BPF's small stack.
    #[inline(always)]
    pub fn read_to(self, copy: &mut T) {
        // SAFETY: only values are written to `copy`.
        self.read_into(unsafe { &mut *(&raw mut *copy).cast() });
    }

    #[inline(always)]
    fn read_into(self, copy: &mut MaybeUninit<T>) {
        let (from, to) = (self.as_ptr(), copy.as_mut_ptr());
        // SAFETY: `new` requires a pointer to a value, and `copy` has the size and alignment of one.
        unsafe {
            match align_of::<T>() {
                8 => read_words::<T, u64>(from, to),
                4 => read_words::<T, u32>(from, to),
                2 => read_words::<T, u16>(from, to),
                _ => read_words::<T, u8>(from, to),
            }
        }
    }

    /// Replaces the value.
    #[inline(always)]
    pub fn write(self, value: &T) {
        let to = self.as_ptr();
        // SAFETY: as in `read`.
        unsafe {
            match align_of::<T>() {
                8 => write_words::<T, u64>(value, to),
                4 => write_words::<T, u32>(value, to),
                2 => write_words::<T, u16>(value, to),
                _ => write_words::<T, u8>(value, to),
            }
        }
    }

    /// The part of the value that begins at byte `OFFSET`.
    #[inline(always)]
    #[must_use]
    pub const fn part<P: Pod, const OFFSET: usize>(self) -> Shared<P> {
        const {
            assert!(OFFSET + size_of::<P>() <= size_of::<T>(), "the part is not in the value");
            assert!(
                OFFSET.is_multiple_of(align_of::<P>()) && align_of::<P>() <= align_of::<T>(),
                "the part is not aligned"
            );
        }
        // SAFETY: the part is in the value, and aligned. Any bytes are a value of either type.
        Shared(unsafe { self.0.byte_add(OFFSET).cast() })
    }
}

/// Copies a shared value in words of type `W`, which has the alignment of `T`.
#[inline(always)]
unsafe fn read_words<T, W: Copy>(from: *const T, to: *mut T) {
    for index in 0..size_of::<T>() / size_of::<W>() {
        // SAFETY: the caller's pointers cover a whole `T`.
        unsafe { to.cast::<W>().add(index).write(from.cast::<W>().add(index).read_volatile()) };
    }
}

/// Copies a value into a shared one, as [`read_words`] does.
#[inline(always)]
unsafe fn write_words<T, W: Copy>(from: *const T, to: *mut T) {
    for index in 0..size_of::<T>() / size_of::<W>() {
        // SAFETY: the caller's pointers cover a whole `T`.
        unsafe { to.cast::<W>().add(index).write_volatile(from.cast::<W>().add(index).read()) };
    }
}

/// Declares a method for each field of a shared value, which returns the field as a shared value.
macro_rules! parts {
    ($($type:ident { $($field:ident: $part:ty),* })*) => {$(
        impl $crate::shared::Shared<$type> {$(
            #[doc = concat!("[`", stringify!($type), "::", stringify!($field), "`].")]
            #[inline(always)]
            #[must_use]
            pub const fn $field(self) -> $crate::shared::Shared<$part> {
                self.part::<_, { core::mem::offset_of!($type, $field) }>()
            }
        )*}
    )*};
}

pub(crate) use parts;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::pod;

    pod! {
        /// Fields of all sizes.
        pub struct Value: 24 {
            /// A whole word.
            pub long: u64,
            /// Half a word.
            pub word: u32,
            /// A quarter.
            pub half: u16,
            /// Another one, in bytes.
            pub bytes: [u8; 2],
            /// What follows.
            pub last: [u8; 8],
        }
    }

    parts! { Value { long: u64, word: u32, half: u16, bytes: [u8; 2] } }

    impl<T> Shared<T> {
        /// Shares a value of a test, which must use it only through the result.
        pub(crate) fn of(value: &mut T) -> Self {
            // SAFETY: tests end before their values.
            unsafe { Self::new(NonNull::from(value)) }
        }
    }

    const VALUE: Value = Value { long: 1 << 40, word: 2, half: 3, bytes: [4, 5], last: *b"12345678" };

    #[test]
    fn a_value_is_copied_out_and_in_whole() {
        let mut value = Value::default();
        let one = Shared::of(&mut value);
        let other = one;
        one.write(&VALUE);
        assert_eq!(other.read(), VALUE);
        let mut bytes = [0_u8; 3];
        let shared = Shared::of(&mut bytes);
        shared.write(&[7, 8, 9]);
        assert_eq!(shared.read(), [7, 8, 9]);
    }

    #[test]
    fn a_part_is_the_field_and_nothing_beside_it() {
        let mut value = VALUE;
        let shared = Shared::of(&mut value);
        assert_eq!((shared.long().read(), shared.word().read()), (VALUE.long, VALUE.word));
        assert_eq!((shared.half().read(), shared.bytes().read()), (VALUE.half, VALUE.bytes));
        shared.half().write(&77);
        shared.bytes().write(&[6, 6]);
        assert_eq!(shared.read(), Value { half: 77, bytes: [6, 6], ..VALUE });
    }
}
