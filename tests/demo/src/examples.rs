//! The bundled example manifests, part of the program, so that it needs no other file.

/// File names and contents.
pub const FILES: &[(&str, &str)] = &[
    ("cluster-ip.yaml", include_str!("../../../deploy/examples/cluster-ip.yaml")),
    ("dual-stack.yaml", include_str!("../../../deploy/examples/dual-stack.yaml")),
    ("external-ip.yaml", include_str!("../../../deploy/examples/external-ip.yaml")),
    ("load-balancer.yaml", include_str!("../../../deploy/examples/load-balancer.yaml")),
    ("local-policy.yaml", include_str!("../../../deploy/examples/local-policy.yaml")),
    ("no-endpoints.yaml", include_str!("../../../deploy/examples/no-endpoints.yaml")),
    ("node-port.yaml", include_str!("../../../deploy/examples/node-port.yaml")),
    ("node.yaml", include_str!("../../../deploy/examples/node.yaml")),
    ("not-proxied.yaml", include_str!("../../../deploy/examples/not-proxied.yaml")),
    ("selector.yaml", include_str!("../../../deploy/examples/selector.yaml")),
    ("session-affinity.yaml", include_str!("../../../deploy/examples/session-affinity.yaml")),
    ("udp.yaml", include_str!("../../../deploy/examples/udp.yaml")),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_example_is_bundled_and_says_what_to_see() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let bundled: BTreeSet<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(files.collect::<BTreeSet<_>>(), bundled);
        for (name, text) in FILES {
            assert!(text.starts_with("# "), "{name} begins with a comment");
        }
    }
}
