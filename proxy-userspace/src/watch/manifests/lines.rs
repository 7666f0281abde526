//! The lines of an object's fields, in a few bytes for each field: what remains of a tree once its values are known.

use super::tree::{Shape, Tree, steps};

/// The lines of a tree's values.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The line of the tree itself, counted from 1.
    first: u32,
    /// The hash of each value's path, with the value's line. If two paths of one object had the same hash, the line of a message
    /// could be wrong, but nothing else.
    fields: Box<[(u32, u32)]>,
}

impl Lines {
    /// Notes the lines of a tree.
    pub fn of(tree: &Tree) -> Self {
        let mut fields = Vec::new();
        note(tree, ROOT, &mut fields);
        Self { first: short(tree.line), fields: fields.into() }
    }

    /// Returns the line of the tree.
    pub fn first(&self) -> u64 {
        self.first.into()
    }

    /// Returns the line of the value at `path`, or of the innermost existing value around it.
    pub fn line_of(&self, path: &str) -> u64 {
        let (mut line, mut hash) = (self.first, ROOT);
        for step in steps(path) {
            hash = extended(hash, step);
            let Some((_, inner)) = self.fields.iter().find(|(path, _)| *path == hash) else { break };
            line = *inner;
        }
        line.into()
    }
}

#[cfg(test)]
impl Lines {
    /// Returns how many bytes the fields take.
    pub fn size(&self) -> usize {
        size_of_val(&*self.fields)
    }
}

/// The hash of the empty path: FNV-1a's first value.
const ROOT: u32 = 0x811c_9dc5;

/// Returns the hash of a path with one step more.
fn extended(path: u32, step: &str) -> u32 {
    // A byte that no step contains ends the step.
    step.bytes().chain([0xff]).fold(path, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn note(tree: &Tree, path: u32, fields: &mut Vec<(u32, u32)>) {
    let mut inner = |step: &str, tree: &Tree| {
        let path = extended(path, step);
        fields.push((path, short(tree.line)));
        note(tree, path, fields);
    };
    match &tree.shape {
        Shape::Mapping(entries) => entries.iter().for_each(|(name, value)| inner(name, value)),
        Shape::Sequence(items) => items.iter().enumerate().for_each(|(index, item)| inner(&index.to_string(), item)),
        Shape::Null | Shape::Bool(_) | Shape::Number(_) | Shape::String(_) => {}
    }
}

fn short(line: u64) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::manifests::tree;

    #[test]
    fn s38_a_line_is_that_of_the_value_or_of_what_is_around_it() {
        let text = "a: 1\nspec:\n  ports:\n  - name: x\n    port: 80\n  - port: 81\n  labels:\n    a.b/c: d\n";
        let trees: Vec<Tree> = tree::parse(text).expect("valid");
        let lines = Lines::of(&trees[0]);
        assert_eq!(lines.first(), 1);
        for (path, line) in [
            ("", 1),
            ("a", 1),
            ("spec", 3),
            ("spec.ports[0].port", 5),
            ("spec.ports[1].port", 6),
            ("spec.ports[7].port", 4),
            ("spec.labels[a.b/c]", 8),
            ("b.c", 1),
        ] {
            assert_eq!(lines.line_of(path), line, "{path}");
        }
    }
}
