//! Sorts rows by one of their fields, which is given as for kubectl's `--sort-by`. Pure.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::{fields::FieldError, output::Row};

/// A field to sort rows by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortBy {
    /// As it was given.
    text: String,
}

/// The place of a row among others: numbers and addresses by their values, other texts by their characters, lists by their first
/// items that differ. Absent values and empty texts come last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SortKey {
    Number(u64),
    Bool(bool),
    /// An address and a port, 0 if there is none.
    Address(IpAddr, u16),
    Text(String),
    List(Vec<Self>),
    Absent,
}

impl SortBy {
    /// Takes FIELD, .FIELD, {FIELD} or {.FIELD}: kubectl's JSONPath for one field, by its name in the JSON output.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    fn field(&self) -> &str {
        let text = self.text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(&self.text);
        text.strip_prefix('.').unwrap_or(text)
    }

    /// Checks that rows of this kind have the field.
    pub fn check<R: Row>(&self) -> Result<(), FieldError> {
        FieldError::check::<R>("sort", &self.text, self.field())
    }

    /// Returns the place of a row, as JSON has it.
    pub(super) fn key(&self, row: &Value) -> SortKey {
        SortKey::of(&row[self.field()])
    }
}

impl SortKey {
    fn of(value: &Value) -> Self {
        match value {
            Value::Number(number) => number.as_u64().map_or(Self::Absent, Self::Number),
            Value::Bool(flag) => Self::Bool(*flag),
            Value::String(text) if text.is_empty() => Self::Absent,
            Value::String(text) => {
                address(text).map_or_else(|| Self::Text(text.clone()), |(ip, port)| Self::Address(ip, port))
            }
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Null | Value::Object(_) => Self::Absent,
        }
    }
}

/// An address and a port, 0 if there is none.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let socket = text.parse().map(|socket: SocketAddr| (socket.ip(), socket.port()));
    socket.or_else(|_| text.parse().map(|ip| (ip, 0))).ok()
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use serde_json::json;

    use super::{
        super::{
            KnownLabels, Selection,
            sample::{Lamp, lamp},
        },
        *,
    };

    #[test]
    fn rows_are_sorted_by_a_field_of_their_json() {
        let sorted = |field: &str| {
            let sort_by = SortBy::new(field);
            sort_by.check::<Lamp>().unwrap();
            let selection = Selection { sort_by: Some(sort_by), ..Selection::default() };
            let rows = vec![lamp("c", true, 10), lamp("a", false, 9), lamp("b", true, 9)];
            let (rows, _) = selection.select(rows, &KnownLabels::default()).unwrap();
            rows.iter().map(|lamp| lamp.name).collect::<String>()
        };
        assert_eq!([sorted("name"), sorted("age"), sorted("isOn")], ["abc", "abc", "acb"]);
        assert_eq!([sorted(".name"), sorted("{.isOn}"), sorted("{age}")], ["abc", "acb", "abc"]);
        for unknown in ["colour", ".metadata.name", "{.name", "..name"] {
            let message = SortBy::new(unknown).check::<Lamp>().unwrap_err().to_string();
            let expected = "they have no such field; give one of name, isOn, age";
            assert_eq!(message, format!("sort lamps by {unknown:?}: {expected}"));
        }
    }

    /// Each value is smaller than all that follow, so that the order is a total one.
    #[test]
    fn values_are_compared_as_what_they_are() {
        let keys = [
            json!(9),
            json!(10),
            json!(false),
            json!(true),
            json!("9.0.0.1"),
            json!("10.0.0.1"),
            json!("10.0.0.9:80"),
            json!("10.0.0.9:443"),
            json!("10.0.0.10:80"),
            json!("fd00::1"),
            json!("*:30080"),
            json!("5g"),
            json!("node"),
            json!("pod"),
            json!([]),
            json!(["a"]),
            json!(["a", "b"]),
            json!(["b"]),
            json!(null),
        ];
        for (at, a) in keys.iter().enumerate() {
            let orders: Vec<_> = keys.iter().map(|b| SortKey::of(a).cmp(&SortKey::of(b))).collect();
            let expected = (0..keys.len()).map(|other| at.cmp(&other));
            assert_eq!(orders, expected.collect::<Vec<_>>(), "{a}");
        }
        assert_eq!(SortKey::of(&json!("")).cmp(&SortKey::of(&json!(null))), Ordering::Equal);
    }
}
