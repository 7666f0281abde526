//! What the kernel tells of a table of iptables: `struct ipt_getinfo`, `struct ipt_get_entries` and `struct ipt_entry`, and
//! those of IPv6. Pure.

use std::io;

/// XT_TABLE_MAXNAMELEN, its end included.
const NAME: usize = 32;
/// `struct ipt_getinfo`: the name, the hooks that the table has, for each of five hooks the first rule, for each the one that is
/// its policy, number of rules, and their size.
const INFO: usize = NAME + 13 * WORD;
const HOOKS: usize = NAME;
const POLICIES: usize = NAME + 6 * WORD;
const SIZE: usize = NAME + 12 * WORD;
const WORD: usize = 4;
/// NF_INET_FORWARD.
const FORWARD: usize = 2;

/// Where the rules begin in `struct ipt_get_entries`: behind the name and their size.
pub(super) const RULES: usize = 40;

/// `struct xt_entry_target`; the verdict of a target without a name comes behind it.
const TARGET: usize = 32;
const TARGET_NAME: usize = 2;
/// NF_DROP, as rules have verdicts: negative and less one.
const DROP: i32 = -1;

/// A table's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info([u8; INFO]);

impl Info {
    /// The question for it.
    pub(super) fn request(name: &str) -> io::Result<Self> {
        let mut bytes = [0; INFO];
        write_name(&mut bytes, name)?;
        Ok(Self(bytes))
    }

    /// What the kernel reads and writes.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Where among the rules the policy of the chain FORWARD is; none in a table without that chain.
    pub(super) fn policy(&self) -> Option<usize> {
        let hooks = word(&self.0, HOOKS)?;
        if hooks & 1 << FORWARD == 0 { None } else { word(&self.0, POLICIES + FORWARD * WORD).map(|at| at as usize) }
    }
}

/// The question for a table's rules, with room for the answer.
pub(super) fn read_request(name: &str, info: &Info) -> io::Result<Vec<u8>> {
    let size = word(&info.0, SIZE).unwrap_or_default();
    let mut bytes = vec![0; RULES + size as usize];
    write_name(&mut bytes, name)?;
    bytes[NAME..NAME + WORD].copy_from_slice(&size.to_ne_bytes());
    Ok(bytes)
}

fn write_name(bytes: &mut [u8], name: &str) -> io::Result<()> {
    // The kernel wants a zero behind it.
    let place = bytes.get_mut(..name.len()).filter(|place| place.len() < NAME);
    place.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
    Ok(())
}

/// How rules of a family are laid out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Where a rule says where its target is.
    target: usize,
}

impl Layout {
    /// `struct ipt_entry`.
    pub(super) const IPV4: Self = Self { target: 88 };
    /// `struct ip6t_entry`.
    pub(super) const IPV6: Self = Self { target: 140 };

    /// Whether the rule at `at` of `rules` has no other target than to drop. False where the rules are damaged.
    pub(super) fn drops(&self, rules: &[u8], at: usize) -> bool {
        let verdict = || {
            let rule = rules.get(at..)?;
            let offset = u16::from_ne_bytes(*rule.get(self.target..)?.first_chunk()?);
            let target = rule.get(usize::from(offset)..)?;
            if *target.get(TARGET_NAME)? != 0 {
                return None;
            }
            Some(i32::from_ne_bytes(*target.get(TARGET..)?.first_chunk()?))
        };
        verdict() == Some(DROP)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A description of a table with these hooks, whose policy of FORWARD is at 152, of 1000 bytes.
    fn info(hooks: u32) -> Info {
        let words = [hooks, 0, 0, 0, 0, 0, 0, 0, 152, 304, 0, 4, 1000];
        let mut bytes = b"filter".to_vec();
        bytes.resize(NAME, 0);
        bytes.extend(words.into_iter().flat_map(u32::to_ne_bytes));
        Info(bytes.try_into().unwrap())
    }

    /// Rules of which the one at 152 has a target of this name and verdict, as struct `ipt_standard` has it.
    fn rules(entry: usize, target: usize, name: &[u8], verdict: i32) -> Vec<u8> {
        let mut bytes = vec![0; 152 + entry + TARGET];
        bytes[152 + target..][..2].copy_from_slice(&u16::try_from(entry).unwrap().to_ne_bytes());
        bytes[152 + entry + TARGET_NAME..][..name.len()].copy_from_slice(name);
        bytes.extend(verdict.to_ne_bytes());
        bytes
    }

    #[test]
    fn field_s11_a_policy_that_drops_is_read() {
        for (layout, entry, target) in [(Layout::IPV4, 112, 88), (Layout::IPV6, 168, 140)] {
            assert!(layout.drops(&rules(entry, target, b"", -1), 152));
            assert!(!layout.drops(&rules(entry, target, b"", -2), 152), "it accepts");
            assert!(!layout.drops(&rules(entry, target, b"ERROR", -1), 152));
            assert!(!layout.drops(&rules(entry, target, b"", -1), 4096));
        }
    }

    #[test]
    fn only_tables_with_the_chain_have_its_policy() {
        // filter has INPUT, FORWARD and OUTPUT; nat has no FORWARD.
        assert_eq!(info(0b01110).policy(), Some(152));
        assert_eq!(info(0b11011).policy(), None);
    }

    #[test]
    fn a_request_has_the_name_and_room_for_the_rules() {
        let request = read_request("filter", &info(0b01110)).unwrap();
        assert_eq!(request.len(), RULES + 1000);
        assert_eq!((&request[..7], &request[32..36]), (&b"filter\0"[..], &1000_u32.to_ne_bytes()[..]));
        assert!(Info::request(&"x".repeat(31)).is_ok() && Info::request(&"x".repeat(32)).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<usize>()) {
            let _ = (Layout::IPV4.drops(&bytes, at % 300), Layout::IPV6.drops(&bytes, at));
        }
    }
}
