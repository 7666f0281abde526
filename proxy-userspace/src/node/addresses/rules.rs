//! Decides whether policy routing may route the reply of a backend on this node differently from a packet with the
//! frontend's address as source (W10).

use crate::node::rtnetlink::Rule;

/// True if a rule matches a property in which the two packets differ: source, incoming device or ports. Their marks are equal.
pub(super) fn depend_on_source(rules: &[Rule]) -> bool {
    let from_elsewhere = |rule: &Rule| rule.device.as_deref().is_some_and(|device| device != "lo");
    rules.iter().any(|rule| rule.source.is_some() || rule.ports || from_elsewhere(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w10_rules_count_that_tell_a_backend_from_its_frontend() {
        let plain = Rule::default();
        assert!(!depend_on_source(&[plain.clone(), plain.clone()]));
        assert!(!depend_on_source(&[Rule { device: Some("lo".into()), ..plain.clone() }]));
        let distinguishing = [
            Rule { source: Some("10.244.0.11/32".parse().unwrap()), ..plain.clone() },
            Rule { device: Some("pod-a".into()), ..plain.clone() },
            Rule { ports: true, ..plain.clone() },
        ];
        for rule in distinguishing {
            assert!(depend_on_source(&[plain.clone(), rule.clone()]), "{rule:?}");
        }
    }
}
