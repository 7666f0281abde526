//! A row for tests, and a check of rows.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::output::Row;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lamp {
    pub(crate) name: &'static str,
    pub(crate) is_on: bool,
    pub(crate) age: u32,
}

pub(crate) fn lamp(name: &'static str, is_on: bool, age: u32) -> Lamp {
    Lamp { name, is_on, age }
}

impl Row for Lamp {
    type Key = &'static str;

    const KIND: &'static str = "lamps";
    const NUMBERS: &'static [&'static str] = &["age"];

    fn titles() -> Vec<&'static str> {
        vec!["NAME", "ON"]
    }

    fn fields() -> Vec<&'static str> {
        vec!["name", "isOn", "age"]
    }

    fn key(&self) -> &'static str {
        self.name
    }

    fn cells(&self) -> Vec<String> {
        vec![self.name.to_owned(), self.is_on.to_string()]
    }

    fn is_named(&self, name: &str) -> bool {
        self.name == name
    }

    fn watched(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Self { age: 0, ..self.clone() })
    }
}

/// Checks that rows can be selected by exactly those fields in their JSON that have no fields themselves, and compared with numbers
/// by those that are numbers.
pub fn check_fields<R: Row>(row: &R) {
    let json = serde_json::to_value(row).unwrap();
    let is_plain = |value: &Value| match value {
        Value::Object(_) => false,
        Value::Array(items) => !items.iter().any(Value::is_object),
        _ => true,
    };
    let plain = json.as_object().unwrap().iter().filter(|(_, value)| is_plain(value)).map(|(name, _)| name.as_str());
    assert_eq!(plain.collect::<BTreeSet<_>>(), R::fields().into_iter().collect(), "{}", R::KIND);
    for field in R::fields() {
        let (value, is_number) = (&json[field], R::NUMBERS.contains(&field));
        assert!(value.is_null() || value.is_number() == is_number, "{} {field}: {value}", R::KIND);
    }
    assert!(R::NUMBERS.iter().all(|number| R::fields().contains(number)), "{}", R::KIND);
}
