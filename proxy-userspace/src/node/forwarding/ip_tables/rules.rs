//! Parses the rules of iptables: `struct ipt_entry`, `struct ip6t_entry`, and their matches and targets
//! (include/uapi/linux/netfilter/x_tables.h). Pure.

use std::ops::RangeInclusive;

use super::super::remedy::{ChainRefusal, End};

/// The size of `struct xt_entry_match` and `struct xt_entry_target`, which are alike: size, name, revision. A standard
/// target, whose name is empty, is followed by its verdict.
const PART: usize = 32;
const PART_NAME: usize = 2;
const PART_NAME_MAX: usize = 29;
/// The verdict NF_DROP in a rule, where verdicts are stored as -verdict - 1. A value of 0 or more is a jump to a rule.
const DROP: i32 = -1;

/// The layout of a family's rules.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RuleLayout {
    /// The size of `struct ipt_ip`, the rule's conditions: all zeros if the rule matches every packet.
    packets: usize,
    /// The offset of the flags in `struct ipt_ip`.
    flags: usize,
    /// The flag that makes a jump a goto, which is not a condition.
    goto: u8,
    /// The offset of the field with the target's offset; the field with the next rule's offset follows.
    target: usize,
    /// The size of a rule without matches.
    rule: usize,
}

impl RuleLayout {
    /// `struct ipt_entry`.
    pub(super) const IPV4: Self = Self { packets: 84, flags: 82, goto: 2, target: 88, rule: 112 };
    /// `struct ip6t_entry`.
    pub(super) const IPV6: Self = Self { packets: 136, flags: 131, goto: 4, target: 140, rule: 168 };

    /// Returns what in a chain refuses packets; `None` if nothing does, or if the rules are malformed. `chain` has the offsets
    /// of the chain's first rule and of its policy.
    pub(super) fn refusal(&self, rules: &[u8], chain: &RangeInclusive<usize>) -> Option<ChainRefusal> {
        if self.end(rules.get(*chain.end()..)?) == Some(End::Refuses("drop")) {
            return Some(ChainRefusal::Policy);
        }
        let mut at = *chain.start();
        while at < *chain.end() {
            let rule = rules.get(at..)?;
            if let Some(end) = self.end(rule) {
                return end.refusal();
            }
            // A rule of length 0 is malformed.
            at += Some(self.offset(rule, 1)?).filter(|length| *length != 0)?;
        }
        None
    }

    /// Returns what a rule does with every packet; `None` if it has conditions, continues with the next rule, or is malformed.
    fn end(&self, rule: &[u8]) -> Option<End> {
        let at = self.offset(rule, 0)?;
        if !self.is_for_all(rule, at)? {
            return None;
        }
        let target = rule.get(at..)?;
        match name(target)? {
            b"" => {
                let verdict = i32::from_ne_bytes(*target.get(PART..)?.first_chunk()?);
                let returns = verdict < 0 || rule.get(self.flags)? & self.goto != 0;
                returns.then_some(if verdict == DROP { End::Refuses("drop") } else { End::Passes })
            }
            b"REJECT" => Some(End::Refuses("reject")),
            b"NFQUEUE" => Some(End::Passes),
            _ => None,
        }
    }

    /// True if a rule whose target is at offset `target` matches every packet: it has no conditions and no matches but comments.
    /// `None` if it is malformed.
    fn is_for_all(&self, rule: &[u8], target: usize) -> Option<bool> {
        let packets = rule.get(..self.packets)?.iter().enumerate();
        let mut bits = packets.map(|(at, byte)| if at == self.flags { byte & !self.goto } else { *byte });
        if bits.any(|byte| byte != 0) {
            return Some(false);
        }
        let mut at = self.rule;
        while at < target {
            let part = rule.get(at..)?;
            if name(part)? != b"comment" {
                return Some(false);
            }
            at += Some(size(part)?).filter(|size| *size != 0)?;
        }
        Some(true)
    }

    /// Returns the offset of the rule's target (`which` is 0), or of the next rule (1).
    fn offset(&self, rule: &[u8], which: usize) -> Option<usize> {
        size(rule.get(self.target + 2 * which..)?)
    }
}

fn size(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|bytes| usize::from(u16::from_ne_bytes(*bytes)))
}

/// Returns the name of a match or target.
fn name(part: &[u8]) -> Option<&[u8]> {
    part.get(PART_NAME..PART_NAME + PART_NAME_MAX)?.split(|byte| *byte == 0).next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACCEPT: i32 = -2;
    const RETURN: i32 = -5;

    /// Returns a rule with these matches and this target. If `byte` is given, that byte of its conditions is 1.
    fn rule(layout: &RuleLayout, byte: Option<usize>, matches: &[&str], target: &str, verdict: i32) -> Vec<u8> {
        let part = |name: &str| {
            let mut bytes = vec![0; PART + 8];
            bytes[0] = 40;
            bytes[PART_NAME..][..name.len()].copy_from_slice(name.as_bytes());
            bytes
        };
        let mut bytes = vec![0; layout.rule];
        if let Some(byte) = byte {
            bytes[byte] = 1;
        }
        bytes.extend(matches.iter().flat_map(|name| part(name)));
        let at = u16::try_from(bytes.len()).unwrap();
        bytes.extend(part(target));
        let verdict_at = usize::from(at) + PART;
        bytes[verdict_at..][..4].copy_from_slice(&verdict.to_ne_bytes());
        bytes[layout.target..][..2].copy_from_slice(&at.to_ne_bytes());
        bytes[layout.target + 2..][..2].copy_from_slice(&(at + 40).to_ne_bytes());
        bytes
    }

    fn refusal(layout: &RuleLayout, rules: &[Vec<u8>]) -> Option<ChainRefusal> {
        let bytes = rules.concat();
        let policy = bytes.len() - rules.last().unwrap().len();
        layout.refusal(&bytes, &(0..=policy))
    }

    #[test]
    fn field_s11_policies_and_last_rules_that_refuse_are_read() {
        for layout in [RuleLayout::IPV4, RuleLayout::IPV6] {
            let plain = |verdict| rule(&layout, None, &[], "", verdict);
            let (drop, accept) = (plain(DROP), plain(ACCEPT));
            let reject = rule(&layout, None, &["comment"], "REJECT", 0);
            assert_eq!(refusal(&layout, std::slice::from_ref(&drop)), Some(ChainRefusal::Policy));
            assert_eq!(refusal(&layout, std::slice::from_ref(&accept)), None);
            assert_eq!(refusal(&layout, &[reject.clone(), accept.clone()]), Some(ChainRefusal::Rule("reject")));
            // A jump to the rule at 480 returns.
            let drops = [plain(480), rule(&layout, None, &[], "LOG", 0), drop.clone(), accept.clone()];
            assert_eq!(refusal(&layout, &drops), Some(ChainRefusal::Rule("drop")));
            let mut goto = plain(480);
            goto[layout.flags] = layout.goto;
            let earlier = [goto, plain(RETURN), accept.clone(), rule(&layout, None, &[], "NFQUEUE", 0)];
            for earlier in earlier {
                assert_eq!(refusal(&layout, &[earlier, reject.clone(), accept.clone()]), None);
            }
            let conditions = [
                rule(&layout, Some(0), &[], "REJECT", 0),
                rule(&layout, Some(layout.flags - 2), &[], "REJECT", 0),
                rule(&layout, Some(layout.flags + 1), &[], "", DROP),
                rule(&layout, None, &["comment", "state"], "REJECT", 0),
            ];
            for condition in conditions {
                assert_eq!(refusal(&layout, &[condition, accept.clone()]), None);
            }
            assert_eq!(layout.refusal(&drop, &(0..=4096)), None, "damaged");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_loop(bytes in prop::collection::vec(0_u8..4, 0..900), at in 0_usize..900) {
            let _ = (RuleLayout::IPV4.refusal(&bytes, &(0..=at)), RuleLayout::IPV6.refusal(&bytes, &(0..=at)));
        }
    }
}
