//! Reads the YAML of a configuration file into JSON like kube-proxy's lenient decoder: the last value of a repeated key counts, and
//! a null field is absent. Knows nothing about the fields.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use serde_saphyr::{UserMessageFormatter, options::DuplicateKeyPolicy};

/// The only YAML document of a text.
#[derive(Debug)]
pub(super) struct Document {
    /// The fields that are not null.
    pub(super) fields: Map<String, Value>,
    /// The paths of repeated fields.
    pub(super) repeated: Vec<String>,
}

/// Parses a text. The error is a sentence about the text, with the line if it is known.
pub(super) fn parse(text: &str) -> Result<Document, String> {
    // Without `strict_booleans`, a text such as `on` would be a boolean.
    let options = serde_saphyr::options! { strict_booleans: true, duplicate_keys: DuplicateKeyPolicy::LastWins };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents: Vec<Node> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |location| location.line().max(1));
        format!("line {line}: {}", error.render_with_formatter(&UserMessageFormatter))
    })?;
    let mut documents = documents.into_iter().filter(|document| !matches!(document, Node::Scalar(Value::Null)));
    let (Some(document), None) = (documents.next(), documents.next()) else {
        return Err("it has none or several YAML documents: give one".to_owned());
    };
    let mut repeated = Vec::new();
    match document.into_value("", &mut repeated) {
        Value::Object(fields) => Ok(Document { fields, repeated }),
        _ => Err("it is not a YAML mapping of fields to values".to_owned()),
    }
}

/// Returns the path of the field `name` inside the field at `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A YAML value, with repeated fields and nulls.
enum Node {
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node)>),
}

impl Node {
    fn into_value(self, path: &str, repeated: &mut Vec<String>) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::Sequence(items) => {
                let items = items.into_iter().enumerate();
                items.map(|(index, item)| item.into_value(&format!("{path}[{index}]"), repeated)).collect()
            }
            Self::Mapping(entries) => {
                let mut fields = Map::new();
                for (name, node) in entries {
                    let inner = join(path, &name);
                    let value = node.into_value(&inner, repeated);
                    if fields.insert(name, value).is_some() && !repeated.contains(&inner) {
                        repeated.push(inner);
                    }
                }
                fields.retain(|_, value| !value.is_null());
                Value::Object(fields)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut sequence = Vec::new();
        while let Some(item) = items.next_element()? {
            sequence.push(item);
        }
        Ok(Node::Sequence(sequence))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut mapping = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            mapping.push(entry);
        }
        Ok(Node::Mapping(mapping))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn field_s14_the_last_of_repeated_keys_counts_and_null_is_absent() {
        let document = parse("---\na: 1\nb: {c: x, c: null, d: [{e: 1, e: 2}]}\na: 2\na: on\n").unwrap();
        assert_eq!(Value::Object(document.fields), json!({"a": "on", "b": {"d": [{"e": 2}]}}));
        assert_eq!(document.repeated, ["b.c", "b.d[0].e", "a"]);
    }

    #[test]
    fn texts_without_one_mapping_are_refused() {
        for (text, reason) in [
            ("", "none or several"),
            ("a: 1\n---\nb: 2\n", "none or several"),
            ("- a\n", "not a YAML mapping"),
            ("a: 1\nb: [\n", "line "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
