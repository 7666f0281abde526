//! Arrays that the programs read, so that what is written into them can be tested without a kernel.

use crate::node::bpf::MappedArray;

/// Elements by index.
pub trait Elements<T> {
    /// Number of elements.
    fn length(&self) -> u32;

    /// The element at `index`, or none past the end.
    fn get(&self, index: u32) -> Option<T>;

    /// Replaces the element at `index`; past the end it does nothing.
    fn set(&mut self, index: u32, value: T);
}

impl<T: aya::Pod> Elements<T> for MappedArray<T> {
    fn length(&self) -> u32 {
        self.length()
    }

    fn get(&self, index: u32) -> Option<T> {
        self.get(index)
    }

    fn set(&mut self, index: u32, value: T) {
        self.set(index, value);
    }
}

#[cfg(test)]
impl<T: Copy> Elements<T> for Vec<T> {
    fn length(&self) -> u32 {
        u32::try_from(self.len()).expect("tests use small arrays")
    }

    fn get(&self, index: u32) -> Option<T> {
        self.as_slice().get(index as usize).copied()
    }

    fn set(&mut self, index: u32, value: T) {
        self[index as usize] = value;
    }
}
