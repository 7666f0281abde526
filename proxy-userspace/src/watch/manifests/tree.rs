//! Parses a manifest's text into a tree with line numbers. Knows YAML (and so JSON), but not Kubernetes.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Spanned, UserMessageFormatter};

/// A value and the line on which it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The line, counted from 1.
    pub line: u64,
    /// The value.
    pub shape: Shape,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Sequence(Vec<Tree>),
    Mapping(Vec<(String, Tree)>),
}

/// The text is not YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SyntaxError {
    /// The line, counted from 1.
    pub line: u64,
    /// The parser's message.
    pub reason: String,
}

/// Parses the documents of a text, without empty ones. Gives each to the result before the next one is parsed.
pub fn parse<C: Default + Extend<Tree>>(text: &str) -> Result<C, SyntaxError> {
    // Ten thousand Services in one file are allowed; nesting and alias expansion stay limited.
    let budget = serde_saphyr::budget! {
        max_events: usize::MAX,
        max_nodes: usize::MAX,
        max_documents: usize::MAX,
        max_total_scalar_bytes: usize::MAX,
        max_depth: 64,
    };
    // Without `strict_booleans`, `y`, `n`, `on` and `no` could not be names.
    let options = serde_saphyr::options! { budget: budget, strict_booleans: true };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_saphyr::from_str_multiple_with_options::<Tree, C>(text, options).map_err(|error| {
        let error = error.without_snippet();
        SyntaxError {
            line: error.location().map_or(1, |location| location.line().max(1)),
            reason: error.render_with_formatter(&UserMessageFormatter),
        }
    })
}

impl Tree {
    /// Returns the value of a mapping's field.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        match &self.shape {
            Shape::Mapping(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Returns the value at a path such as `spec.ports[0].name` or `metadata.labels[app.kubernetes.io/name]`.
    pub fn at(&self, path: &str) -> Option<&Tree> {
        steps(path).try_fold(self, Tree::step)
    }

    /// Returns the text if the value is a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Shape::String(text) = &self.shape { Some(text) } else { None }
    }

    /// Removes all fields of a mapping except these.
    pub fn keep(&mut self, names: &[&str]) {
        if let Shape::Mapping(fields) = &mut self.shape {
            fields.retain(|(name, _)| names.contains(&name.as_str()));
            fields.shrink_to_fit();
        }
    }

    /// Returns the value as JSON, without null fields, since Kubernetes treats them as absent.
    pub fn to_value(&self) -> Value {
        match &self.shape {
            Shape::Null => Value::Null,
            Shape::Bool(value) => Value::Bool(*value),
            Shape::Number(value) => Value::Number(value.clone()),
            Shape::String(value) => Value::String(value.clone()),
            Shape::Sequence(items) => Value::Array(items.iter().map(Tree::to_value).collect()),
            Shape::Mapping(fields) => Value::Object(
                fields
                    .iter()
                    .filter(|(_, value)| value.shape != Shape::Null)
                    .map(|(name, value)| (name.clone(), value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    fn step(&self, step: &str) -> Option<&Tree> {
        match &self.shape {
            Shape::Sequence(items) => items.get(step.parse::<usize>().ok()?),
            _ => self.get(step),
        }
    }
}

/// Returns the names and indexes in a path.
pub(super) fn steps(mut path: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        path = path.strip_prefix('.').unwrap_or(path);
        let (step, rest) = match path.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => path.split_at(path.find(['.', '[']).unwrap_or(path.len())),
        };
        path = rest;
        (!step.is_empty()).then_some(step)
    })
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Shape>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), shape: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        Shape::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Shape, E> {
        Number::from_f64(value).map(Shape::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(Shape::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Shape, E> {
        Ok(Shape::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut sequence = Vec::new();
        while let Some(item) = items.next_element()? {
            sequence.push(item);
        }
        sequence.shrink_to_fit();
        Ok(Shape::Sequence(sequence))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut fields: Vec<(String, Tree)> = Vec::new();
        while let Some((name, value)) = entries.next_entry::<String, Tree>()? {
            fields.push((name, value));
        }
        fields.shrink_to_fit();
        Ok(Shape::Mapping(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s38_lines_of_documents_and_fields_are_known() {
        let text = "# first\nkind: A\n---\n---\nkind: B\nspec:\n  ports:\n  - name: x\n    port: 80\n  labels:\n    a.b/c: d\n";
        let documents: Vec<Tree> = parse(text).expect("valid");
        assert_eq!(documents.iter().map(|tree| tree.line).collect::<Vec<_>>(), [2, 5]);
        let line = |path| documents[1].at(path).map(|tree| tree.line);
        let lines = ["spec.ports[0].port", "spec.labels[a.b/c]", "spec.ports[7].port", "nothing"].map(line);
        assert_eq!(lines, [Some(9), Some(11), None, None]);
    }

    #[test]
    fn s38_anchors_and_json_are_read() {
        let yaml: Vec<Tree> = parse("a: &x {p: 1}\nb: *x\nc:\n  <<: *x\n  q: \"2\"\n  n: n\n  o:\n").expect("valid");
        let expected = serde_json::json!({"a": {"p": 1}, "b": {"p": 1}, "c": {"p": 1, "q": "2", "n": "n"}});
        assert_eq!(yaml[0].to_value(), expected);
        let json: Vec<Tree> = parse(&expected.to_string()).expect("valid");
        assert_eq!(json[0].to_value(), expected);
    }

    #[test]
    fn s38_a_syntax_error_names_its_line() {
        for (text, line) in [
            ("a: 1\nb: [\n", 2..=3),
            ("a: 1\nb: 2\na: 3\n", 3..=3),
            ("a: 1\n  b: 2\n", 2..=2),
            ("a: 1\n---\nb: \"x\n", 3..=4),
        ] {
            let error = parse::<Vec<Tree>>(text).expect_err("broken");
            assert!(line.contains(&error.line), "{text:?}: {error}");
            assert!(!error.reason.contains('\n') && !error.reason.contains("Options"), "{error}");
        }
    }
}
