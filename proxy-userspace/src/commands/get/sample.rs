//! A row for tests.

use serde::Serialize;

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

    fn titles() -> Vec<&'static str> {
        vec!["NAME", "ON"]
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
