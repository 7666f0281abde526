//! Which rows are asked for, by names and namespace. Pure.

use super::output::Row;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only rows of this namespace.
    pub namespace: Option<String>,
    /// Only rows with these names; all if there are none.
    pub names: Vec<String>,
}

/// Names that no row has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {} not found{}", quoted(.names), place(.namespace.as_deref()))]
pub struct NotFound {
    kind: &'static str,
    names: Vec<String>,
    namespace: Option<String>,
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn place(namespace: Option<&str>) -> String {
    namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace:?}"))
}

impl Selection {
    /// Returns the rows that are asked for. The second value is an error if a name has none.
    pub fn select<R: Row>(&self, mut rows: Vec<R>) -> (Vec<R>, Result<(), NotFound>) {
        if let Some(namespace) = &self.namespace {
            rows.retain(|row| row.is_in(namespace));
        }
        if self.names.is_empty() {
            return (rows, Ok(()));
        }
        let has_no_row = |name: &&String| !rows.iter().any(|row| row.is_named(name));
        let names: Vec<String> = self.names.iter().filter(has_no_row).cloned().collect();
        rows.retain(|row| self.names.iter().any(|name| row.is_named(name)));
        let missing = NotFound { kind: R::KIND, names, namespace: self.namespace.clone() };
        (rows, if missing.names.is_empty() { Ok(()) } else { Err(missing) })
    }

    /// Says that there are no rows, as kubectl does.
    pub fn nothing<R: Row>(&self) -> String {
        format!("no {} found{}", R::KIND, place(self.namespace.as_deref()))
    }
}
