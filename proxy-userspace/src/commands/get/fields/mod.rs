//! Selects rows by their fields, in the form of kubectl's `--field-selector`. Pure.

mod parse;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

pub use self::parse::NotAFieldSelector;
use super::output::Row;

/// Conditions on the fields of rows, as in `state=established,client!=192.0.2.9,ageSeconds>60`. All must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Condition>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    field: String,
    wanted: Wanted,
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Equal(String),
    Unequal(String),
    Below(u64),
    Above(u64),
}

/// Why rows of a kind can't be selected or sorted by a field.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The rows have no such field.
    #[error("{verb} {kind} by {field:?}: they have no such field; give one of {}", .known.join(", "))]
    Unknown {
        /// What is to be done with the rows: `select` or `sort`.
        verb: &'static str,
        /// What the rows are.
        kind: &'static str,
        /// The field, as it was given.
        field: String,
        /// The fields that the rows have.
        known: Vec<&'static str>,
    },
    /// The field is compared with a number, but is not a number.
    #[error("select {kind} by {field:?}: `<` and `>` are for numbers, {}", numbers(.known))]
    NotANumber {
        /// What the rows are.
        kind: &'static str,
        /// The field.
        field: String,
        /// The fields that are numbers.
        known: &'static [&'static str],
    },
}

fn numbers(known: &[&str]) -> String {
    if known.is_empty() { "and they have none".to_owned() } else { format!("which are {}", known.join(", ")) }
}

impl FieldError {
    /// Checks that rows of this kind have a field, which was given as `text` to select or sort them by (`verb`).
    pub(super) fn check<R: Row>(verb: &'static str, text: &str, field: &str) -> Result<(), Self> {
        let known = R::fields();
        if known.contains(&field) {
            return Ok(());
        }
        Err(Self::Unknown { verb, kind: R::KIND, field: text.to_owned(), known })
    }
}

impl Condition {
    fn check<R: Row>(&self) -> Result<(), FieldError> {
        let Self { field, wanted } = self;
        FieldError::check::<R>("select", field, field)?;
        match wanted {
            Wanted::Below(_) | Wanted::Above(_) if !R::NUMBERS.contains(&field.as_str()) => {
                Err(FieldError::NotANumber { kind: R::KIND, field: field.clone(), known: R::NUMBERS })
            }
            _ => Ok(()),
        }
    }

    fn holds(&self, row: &Value) -> bool {
        let value = &row[&self.field];
        match &self.wanted {
            Wanted::Equal(text) => has(value, text),
            Wanted::Unequal(text) => !has(value, text),
            Wanted::Below(limit) => value.as_u64().is_some_and(|number| number < *limit),
            Wanted::Above(limit) => value.as_u64().is_some_and(|number| number > *limit),
        }
    }
}

impl FieldSelector {
    /// Whether it has no conditions, so that it selects every row.
    pub fn selects_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that rows of this kind have the fields, and numbers where those are compared.
    pub fn check<R: Row>(&self) -> Result<(), FieldError> {
        self.0.iter().try_for_each(Condition::check::<R>)
    }

    /// Whether a row, as JSON has it, fulfils all conditions.
    pub(super) fn selects(&self, row: &Value) -> bool {
        self.0.iter().all(|condition| condition.holds(row))
    }
}

/// Whether a field has a value. A list has those of its items. A field without a value, and an empty list, have the empty text.
fn has(field: &Value, value: &str) -> bool {
    match field {
        Value::Null => value.is_empty(),
        Value::String(text) => text == value || is_address(text, value),
        Value::Array(items) if items.is_empty() => value.is_empty(),
        Value::Array(items) => items.iter().any(|item| has(item, value)),
        Value::Bool(flag) => value.parse() == Ok(*flag),
        Value::Number(number) => number.to_string() == value,
        Value::Object(_) => false,
    }
}

/// Whether `value` is the address in `text`, in any spelling. It may lack the port.
fn is_address(text: &str, value: &str) -> bool {
    let addresses = |text: &str| {
        let socket: Option<SocketAddr> = text.parse().ok();
        (socket.map(|socket| socket.ip()).or_else(|| text.parse::<IpAddr>().ok()), socket.map(|socket| socket.port()))
    };
    let ((ip, port), (wanted_ip, wanted_port)) = (addresses(text), addresses(value));
    ip.is_some() && ip == wanted_ip && (wanted_port.is_none() || port == wanted_port)
}
