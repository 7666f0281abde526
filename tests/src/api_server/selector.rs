//! Label and field selectors as the API reads them. It must not know of requests.

use serde_json::Value;

/// One condition of a label selector. All of a selector's conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// `key`
    Exists(String),
    /// `!key`
    Absent(String),
    /// `key=value`, `key==value`, `key in (a,b)`
    In(String, Vec<String>),
    /// `key!=value`, `key notin (a,b)`: also true of objects without the key.
    NotIn(String, Vec<String>),
}

/// One condition of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// `/metadata/name`, `/metadata/namespace`, or what Services have besides.
    pointer: &'static str,
    value: String,
    equal: bool,
}

impl Condition {
    /// Whether the object's labels satisfy the condition.
    pub(super) fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
        match self {
            Self::Exists(key) => label(key).is_some(),
            Self::Absent(key) => label(key).is_none(),
            Self::In(key, values) => label(key).is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(key, values) => label(key).is_none_or(|value| values.iter().all(|one| one != value)),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Some(key) = text.strip_prefix('!') {
            return Ok(Self::Absent(parse_key(key)?));
        }
        if let Some(list) = text.strip_suffix(')') {
            let (head, list) = list.split_once('(').ok_or_else(|| format!("unbalanced parenthesis in '{text}'"))?;
            let values = list.split(',').map(parse_value).collect::<Result<_, _>>()?;
            return match head.split_whitespace().collect::<Vec<_>>()[..] {
                [key, "in"] => Ok(Self::In(parse_key(key)?, values)),
                [key, "notin"] => Ok(Self::NotIn(parse_key(key)?, values)),
                _ => Err(format!("found '{head}', expected: key in (…) or key notin (…)")),
            };
        }
        if let Some((key, value)) = text.split_once("!=") {
            return Ok(Self::NotIn(parse_key(key)?, vec![parse_value(value)?]));
        }
        if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            return Ok(Self::In(parse_key(key)?, vec![parse_value(value)?]));
        }
        Ok(Self::Exists(parse_key(text)?))
    }
}

impl Field {
    /// Whether the object's field satisfies the condition.
    pub(super) fn matches(&self, object: &Value) -> bool {
        let value = object.pointer(self.pointer).and_then(Value::as_str).unwrap_or_default();
        (value == self.value) == self.equal
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (key, value, equal) = if let Some((key, value)) = text.split_once("!=") {
            (key, value, false)
        } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            (key, value, true)
        } else {
            return Err(format!("invalid field selector: '{text}'; can't understand '{text}'"));
        };
        let pointer = match key {
            "metadata.name" => "/metadata/name",
            "metadata.namespace" => "/metadata/namespace",
            "spec.clusterIP" => "/spec/clusterIP",
            _ => return Err(format!("field label not supported: {key}")),
        };
        Ok(Self { pointer, value: value.to_owned(), equal })
    }
}

/// Reads a label selector; an empty one has no conditions.
pub(super) fn parse_labels(text: &str) -> Result<Vec<Condition>, String> {
    split_outside_parentheses(text)?.into_iter().map(Condition::parse).collect()
}

/// Reads a field selector; an empty one has no conditions.
pub(super) fn parse_fields(text: &str) -> Result<Vec<Field>, String> {
    text.split(',').filter(|part| !part.is_empty()).map(Field::parse).collect()
}

fn split_outside_parentheses(text: &str) -> Result<Vec<&str>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (index, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or_else(|| format!("unbalanced parenthesis in '{text}'"))?,
            ',' if depth == 0 => {
                parts.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    if depth == 0 { Ok(parts) } else { Err(format!("unbalanced parenthesis in '{text}'")) }
}

fn parse_key(text: &str) -> Result<String, String> {
    let key = text.trim();
    let (prefix, name) = key.split_once('/').unwrap_or(("", key));
    let lower_case =
        prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    if !name.is_empty() && lower_case && !(key.contains('/') && prefix.is_empty()) && is_word(name) {
        Ok(key.to_owned())
    } else {
        Err(format!(
            "key: Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.'"
        ))
    }
}

fn parse_value(text: &str) -> Result<String, String> {
    let value = text.trim();
    if is_word(value) {
        Ok(value.to_owned())
    } else {
        Err(format!("values: Invalid value: \"{value}\": a valid label must be an empty string or alphanumeric"))
    }
}

/// Whether the text is empty, or a label's value: at most 63 of `A-Za-z0-9-_.` between letters or digits.
fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && bytes.first().is_none_or(u8::is_ascii_alphanumeric)
        && bytes.last().is_none_or(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: &str, labels: &Value) -> bool {
        let object = json!({"metadata": {"labels": labels}});
        parse_labels(selector).unwrap().iter().all(|condition| condition.matches(&object))
    }

    #[test]
    fn label_selectors_of_every_form() {
        for (selector, with, without) in [
            ("app", true, false),
            ("!app", false, true),
            ("app=web", true, false),
            ("app==web", true, false),
            ("app!=web", false, true),
            ("app in (db, web)", true, false),
            ("app notin (db,web)", false, true),
            ("app in (db)", false, false),
            ("!a/b,!app", false, true),
            ("", true, true),
        ] {
            assert_eq!(selects(selector, &json!({"app": "web"})), with, "{selector}");
            assert_eq!(selects(selector, &json!({})), without, "{selector}");
        }
    }

    #[test]
    fn malformed_selectors_are_refused() {
        for selector in ["app in web", "app in (web", "=web", "a b=c", "app=we b", "!", "app=-x", ",", "/x"] {
            assert!(parse_labels(selector).is_err(), "{selector}");
        }
        for selector in ["spec.nodeName=a", "metadata.name", "metadata.uid=1"] {
            assert!(parse_fields(selector).is_err(), "{selector}");
        }
    }

    #[test]
    fn field_selectors_compare_names() {
        let object = json!({"metadata": {"name": "a", "namespace": "b"}});
        let selects = |text: &str| parse_fields(text).unwrap().iter().all(|field| field.matches(&object));
        assert!(selects("metadata.name=a,metadata.namespace==b"));
        assert!(!selects("metadata.name!=a"));
        assert!(!selects("metadata.name=b"));
    }
}
