//! Array maps that are mapped into the agent's memory.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd as _},
    ptr::NonNull,
    sync::atomic::AtomicU64,
};

/// A `BPF_F_MMAPABLE` array map that is mapped into the agent's memory: writing an element is a store, not a system call.
#[derive(Debug)]
pub struct MappedArray<T> {
    base: NonNull<u8>,
    length: u32,
    size: usize,
    _elements: PhantomData<T>,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl<T: Send> Send for MappedArray<T> {}

impl<T: aya::Pod> MappedArray<T> {
    /// The kernel rounds elements of array maps up to eight bytes (kernel/bpf/arraymap.c).
    const STRIDE: usize = size_of::<T>().next_multiple_of(8);

    /// Maps the array map behind `map`, which has `length` elements of type `T`.
    pub fn new(map: impl AsFd, length: u32) -> io::Result<Self> {
        let size = (length as usize * Self::STRIDE).next_multiple_of(4096);
        // SAFETY: a new shared mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_fd().as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap returned null"))?;
        Ok(Self { base, length, size, _elements: PhantomData })
    }

    /// Returns the number of elements.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Returns the element at `index`; `None` past the end.
    pub fn get(&self, index: u32) -> Option<T> {
        // SAFETY: `element` is in bounds and aligned; programs only read these maps.
        self.element(index).map(|element| unsafe { element.read_volatile() })
    }

    /// Replaces the element at `index`. Returns false past the end. An element of up to eight bytes is replaced by one
    /// store.
    pub fn set(&mut self, index: u32, value: T) -> bool {
        // SAFETY: as in `get`; `&mut self` makes this the only writer.
        self.element(index).map(|element| unsafe { element.write_volatile(value) }).is_some()
    }

    fn element(&self, index: u32) -> Option<*mut T> {
        // SAFETY: `index` is below `length`, so the offset is inside the mapping.
        (index < self.length).then(|| unsafe { self.base.as_ptr().add(index as usize * Self::STRIDE).cast() })
    }
}

impl MappedArray<u64> {
    /// Returns the element at `index`, which programs may write concurrently; `None` past the end.
    pub fn word(&self, index: u32) -> Option<&AtomicU64> {
        // SAFETY: `element` is in bounds and aligned, and valid as long as `self`; all access from here on is atomic.
        self.element(index).map(|word| unsafe { AtomicU64::from_ptr(word) })
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `new` made; no pointer into it outlives this value.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size) };
    }
}
