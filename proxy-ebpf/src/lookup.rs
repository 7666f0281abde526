//! Lookups in maps whose values other CPUs and the agent may write at any time: the result is a [`Shared`], never a reference.

use core::{borrow::Borrow, ptr::NonNull};

use aya_ebpf::btf_maps::{Array, HashMap, LruHashMap, PerCpuArray};
use proxy_common::Shared;

/// A map whose values are looked up by a `Q`.
pub trait Lookup<Q> {
    /// The type of the values.
    type Value;

    /// The value of a key, or at an index.
    fn get_shared(&self, key: Q) -> Option<Shared<Self::Value>>;
}

/// The value that a lookup has found, as a shared one.
#[inline(always)]
fn share<V>(found: Option<*mut V>) -> Option<Shared<V>> {
    // SAFETY: the kernel frees no value of a map before the programs that may have found it have ended (RCU). It aligns all of
    // them to 8 bytes, and no type needs more.
    found.and_then(NonNull::new).map(|found| unsafe { Shared::new(found) })
}

macro_rules! arrays {
    ($($map:ident)*) => {$(
        impl<V, const MAX: usize, const FLAGS: usize> Lookup<u32> for $map<V, MAX, FLAGS> {
            type Value = V;

            #[inline(always)]
            fn get_shared(&self, key: u32) -> Option<Shared<V>> {
                share(self.get_ptr_mut(key))
            }
        }
    )*};
}

macro_rules! hashes {
    ($($map:ident)*) => {$(
        impl<Q: Borrow<K>, K, V, const MAX: usize, const FLAGS: usize> Lookup<Q> for $map<K, V, MAX, FLAGS> {
            type Value = V;

            #[inline(always)]
            fn get_shared(&self, key: Q) -> Option<Shared<V>> {
                share(self.get_ptr_mut(key))
            }
        }
    )*};
}

arrays! { Array PerCpuArray }
hashes! { HashMap LruHashMap }
