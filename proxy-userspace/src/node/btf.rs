//! Finds the offsets of struct fields in the running kernel's BTF (Documentation/bpf/btf.rst). aya reads BTF, but does not expose
//! fields.

use std::{fs, io, path::Path};

/// The running kernel's BTF.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;

const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;

/// Why a field can't be found.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The kernel has no BTF, or it can't be read.
    #[error("read {VMLINUX} (Waggle needs a kernel with CONFIG_DEBUG_INFO_BTF)")]
    Read(#[source] io::Error),
    /// It is damaged, or in a form of a later kernel.
    #[error("parse {VMLINUX}: it is not in the form that this waggle knows")]
    Malformed,
    /// The kernel has no such field.
    #[error("find the field {field} of the kernel's struct {name}: this kernel has none")]
    Field {
        /// The struct.
        name: &'static str,
        /// The field.
        field: &'static str,
    },
}

/// A kernel's types.
pub struct Btf {
    bytes: Vec<u8>,
    /// Offset of the strings.
    strings: usize,
    /// Offset of each type; ids begin at 1.
    types: Vec<usize>,
}

impl Btf {
    /// Reads the running kernel's types.
    pub fn of_kernel() -> Result<Self, BtfError> {
        Self::parse(fs::read(Path::new(VMLINUX)).map_err(BtfError::Read)?)
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        Self::index(bytes).ok_or(BtfError::Malformed)
    }

    /// Notes where each type is. Types have different sizes.
    fn index(bytes: Vec<u8>) -> Option<Self> {
        if u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let word = |offset| word(&bytes, offset);
        let header = word(4)? as usize;
        let begin = header + word(8)? as usize;
        let (end, strings) = (begin + word(12)? as usize, header + word(16)? as usize);
        if bytes.len() < end.max(strings) {
            return None;
        }
        let (mut types, mut offset) = (Vec::new(), begin);
        while offset < end {
            types.push(offset);
            let info = word(offset + 4)?;
            offset += 12 + further_bytes(kind(info), count(info));
        }
        Some(Self { bytes, strings, types })
    }

    /// Returns the offset of a struct's field, bytes. Fields of anonymous structs and unions inside it are its own.
    pub fn offset(&self, name: &'static str, field: &'static str) -> Result<u32, BtfError> {
        let is_it = |at: &&usize| {
            let info = word(&self.bytes, **at + 4);
            info.is_some_and(|info| kind(info) == KIND_STRUCT && count(info) > 0) && self.is_named(**at, name)
        };
        let found = self.types.iter().filter(is_it).find_map(|at| self.field(*at, field));
        found.map(|bits| bits / 8).ok_or(BtfError::Field { name, field })
    }

    /// The offset in bits of a field of the struct or union at `at`.
    fn field(&self, at: usize, field: &str) -> Option<u32> {
        let info = word(&self.bytes, at + 4)?;
        if !matches!(kind(info), KIND_STRUCT | KIND_UNION) {
            return None;
        }
        (0..count(info)).find_map(|number| {
            let member = at + 12 + number * 12;
            // With bit fields, the size is in the highest byte.
            let offset = word(&self.bytes, member + 8)? & if info >> 31 == 1 { 0x00ff_ffff } else { u32::MAX };
            if self.is_named(member, field) {
                return Some(offset);
            }
            let is_anonymous = word(&self.bytes, member)? == 0;
            let inner = is_anonymous.then(|| word(&self.bytes, member + 4)).flatten()?;
            let inner = *self.types.get((inner as usize).checked_sub(1)?)?;
            Some(offset + self.field(inner, field)?)
        })
    }

    /// Whether the type or member at `at` has a name.
    fn is_named(&self, at: usize, name: &str) -> bool {
        let text = word(&self.bytes, at).and_then(|offset| self.bytes.get(self.strings + offset as usize..));
        text.is_some_and(|text| text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)))
    }
}

/// The word at an offset.
fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?))
}

const fn kind(info: u32) -> u32 {
    info >> 24 & 0x1f
}

/// The number of members.
const fn count(info: u32) -> usize {
    (info & 0xffff) as usize
}

/// The size of what follows the first three words of a type, bytes.
const fn further_bytes(kind: u32, count: usize) -> usize {
    match kind {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * count,
        KIND_ENUM | KIND_FUNC_PROTO => 8 * count,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types in BTF: an int, a union with an anonymous place, and a struct that has the union without a name.
    fn sample() -> Vec<u8> {
        let strings = b"\0outer\0first\0inner\0\0";
        let types: &[u32] = &[
            0,
            KIND_INT << 24,
            4,
            32, // 1
            0,
            KIND_UNION << 24 | 1,
            4,
            13,
            1,
            0, // 2: inner
            1,
            1 << 31 | KIND_STRUCT << 24 | 2,
            8,
            7,
            1,
            32 << 24,
            0,
            2,
            32, // 3: outer
        ];
        let length = u32::try_from(types.len() * 4).unwrap();
        let header = [u32::from(MAGIC) | 1 << 16, 24, 0, length, length, u32::try_from(strings.len()).unwrap()];
        let words = header.iter().chain(types).flat_map(|word| word.to_ne_bytes());
        words.chain(strings.iter().copied()).collect()
    }

    #[test]
    fn fields_are_found_also_in_anonymous_unions() {
        let btf = Btf::parse(sample()).unwrap();
        assert_eq!(btf.offset("outer", "first").unwrap(), 0);
        assert_eq!(btf.offset("outer", "inner").unwrap(), 4);
    }

    #[test]
    fn what_is_not_there_is_an_error_that_names_it() {
        let btf = Btf::parse(sample()).unwrap();
        let error = btf.offset("outer", "last").unwrap_err();
        assert_eq!(error.to_string(), "find the field last of the kernel's struct outer: this kernel has none");
        assert!(btf.offset("out", "first").is_err());
        for length in 0..sample().len() - b"\0outer\0first\0inner\0\0".len() {
            assert!(Btf::parse(sample()[..length].to_vec()).is_err(), "{length}");
        }
    }

    #[test]
    fn this_kernels_fields_are_found() {
        let btf = Btf::of_kernel().unwrap();
        assert_eq!(btf.offset("xdp_buff", "data").unwrap(), 0);
        assert!(btf.offset("sk_buff", "dev").unwrap() > 0);
    }
}
