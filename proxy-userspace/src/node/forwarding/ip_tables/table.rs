//! The kernel's description of an iptables table: `struct ipt_getinfo` and `struct ipt_get_entries`, and the IPv6
//! equivalents. Pure.

use std::{io, ops::RangeInclusive};

/// XT_TABLE_MAXNAMELEN, including the terminating NUL.
const NAME: usize = 32;
/// The size of `struct ipt_getinfo`: the name, a bit for each hook, the offsets of the first rule and of the policy for each
/// of five hooks, the number of rules, and their size.
const INFO: usize = NAME + 13 * WORD;
const HOOKS: usize = NAME;
const FIRST: usize = NAME + WORD;
const POLICIES: usize = NAME + 6 * WORD;
const SIZE: usize = NAME + 12 * WORD;
const WORD: usize = 4;
/// XT_ERROR_TARGET; XT_EXTENSION_MAXNAMELEN with the revision that follows; XT_FUNCTION_MAXNAMELEN.
const ERROR: &[u8] = b"ERROR\0";
const TARGET_NAME: usize = 30;
const CHAIN_NAME: usize = 30;
/// NF_INET_FORWARD.
const FORWARD: usize = 2;

/// The offset of the rules in `struct ipt_get_entries`, after the name and their size.
pub(super) const RULES: usize = 40;

/// A table's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info([u8; INFO]);

impl Info {
    /// Returns the request for a table's description. Fails if the name is too long.
    pub(super) fn request(name: &str) -> io::Result<Self> {
        let mut bytes = [0; INFO];
        write_name(&mut bytes, name)?;
        Ok(Self(bytes))
    }

    /// Returns the buffer that the kernel reads and writes.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Returns the offsets of the first rule and the policy of the chain FORWARD; `None` if the table has no such chain.
    pub(super) fn forward(&self) -> Option<RangeInclusive<usize>> {
        let hooks = word(&self.0, HOOKS)?;
        let of = |hooks| word(&self.0, hooks + FORWARD * WORD).map(|at| at as usize);
        if hooks & 1 << FORWARD == 0 { None } else { Some(of(FIRST)?..=of(POLICIES)?) }
    }
}

/// Returns the request for a table's rules, with space for them.
pub(super) fn read_request(name: &str, info: &Info) -> io::Result<Vec<u8>> {
    let size = word(&info.0, SIZE).unwrap_or_default();
    let mut bytes = vec![0; RULES + size as usize];
    write_name(&mut bytes, name)?;
    bytes[NAME..NAME + WORD].copy_from_slice(&size.to_ne_bytes());
    Ok(bytes)
}

/// Returns the names of user-defined chains. Each begins with a rule whose target is ERROR with the chain's name
/// (`struct xt_error_target`). The last rule of a table looks the same, with the name ERROR, but begins no chain.
pub(super) fn chain_names(rules: &[u8]) -> impl Iterator<Item = String> {
    let targets = rules.windows(TARGET_NAME + CHAIN_NAME).filter(|bytes| bytes.starts_with(ERROR));
    let name = |bytes: &[u8]| bytes[TARGET_NAME..].split(|byte| *byte == 0).next().map(<[u8]>::to_vec);
    let names = targets.filter_map(name).filter_map(|name| String::from_utf8(name).ok());
    names.filter(|name| !name.is_empty() && name != "ERROR")
}

fn write_name(bytes: &mut [u8], name: &str) -> io::Result<()> {
    // A NUL must follow the name.
    let place = bytes.get_mut(..name.len()).filter(|place| place.len() < NAME);
    place.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a description of a table with these hooks and 1000 bytes of rules, those of FORWARD at offsets 40 to 152.
    fn info(hooks: u32) -> Info {
        let words = [hooks, 0, 0, 40, 0, 0, 0, 0, 152, 304, 0, 4, 1000];
        let mut bytes = b"filter".to_vec();
        bytes.resize(NAME, 0);
        bytes.extend(words.into_iter().flat_map(u32::to_ne_bytes));
        Info(bytes.try_into().unwrap())
    }

    #[test]
    fn only_tables_with_the_chain_have_its_rules() {
        // filter has INPUT, FORWARD and OUTPUT; nat has no FORWARD.
        assert_eq!(info(0b01110).forward(), Some(40..=152));
        assert_eq!(info(0b11011).forward(), None);
    }

    #[test]
    fn chains_that_users_have_made_are_found_by_their_names() {
        let field = |text: &[u8]| [text, &vec![0; 30 - text.len()]].concat();
        let rules =
            [vec![7; 114], field(b"ERROR"), field(b"KUBE-SERVICES"), vec![0; 9], field(b"ERROR"), field(b"ERROR")];
        assert_eq!(chain_names(&rules.concat()).collect::<Vec<_>>(), ["KUBE-SERVICES"]);
        assert_eq!(chain_names(b"ERROR\0short").count(), 0);
    }

    #[test]
    fn a_request_has_the_name_and_room_for_the_rules() {
        let request = read_request("filter", &info(0b01110)).unwrap();
        assert_eq!(request.len(), RULES + 1000);
        assert_eq!((&request[..7], &request[32..36]), (&b"filter\0"[..], &1000_u32.to_ne_bytes()[..]));
        assert!(Info::request(&"x".repeat(31)).is_ok() && Info::request(&"x".repeat(32)).is_err());
    }
}
