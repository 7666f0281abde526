//! The `pod!` macro: one declaration gives a map type its derives, its size check and `aya::Pod`.

/// Declares `#[repr(C)]` map types with their exact sizes in bytes.
///
/// The size is asserted at compile time, on both sides; bytemuck's derive refuses hidden padding.
macro_rules! pod {
    ($($(#[$meta:meta])* pub struct $name:ident: $size:tt { $($body:tt)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        pub struct $name { $($body)* }

        const _: () = assert!(size_of::<$name>() == $size);

        impl Default for $name {
            #[inline(always)]
            fn default() -> Self {
                bytemuck::Zeroable::zeroed()
            }
        }

        // SAFETY: bytemuck's derive has proven that every bit pattern is valid and that there is no padding.
        #[cfg(feature = "user")]
        #[expect(unsafe_code, reason = "aya wants a promise of what bytemuck's derive has checked")]
        unsafe impl aya::Pod for $name {}
    )*};
}

pub(crate) use pod;
