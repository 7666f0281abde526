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

/// Why rows can't be selected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// Some names have no row.
    #[error("find {kind} {}{}: not in the maps of this node", quoted(.names), place(.namespace.as_deref()))]
    NotFound {
        /// What was asked for.
        kind: &'static str,
        /// The names without rows.
        names: Vec<String>,
        /// The namespace that was asked for.
        namespace: Option<String>,
    },
    /// Such rows belong to no namespace.
    #[error("choose {kind} by namespace: they belong to none; leave out --namespace")]
    NoNamespaces {
        /// What was asked for.
        kind: &'static str,
    },
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn place(namespace: Option<&str>) -> String {
    namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace:?}"))
}

impl Selection {
    /// Returns the rows that are asked for. Each name must have one.
    pub fn select<R: Row>(&self, rows: Vec<R>) -> Result<Vec<R>, SelectionError> {
        let mut rows = rows;
        if let Some(namespace) = &self.namespace {
            if rows.first().is_some_and(|row| row.is_in(namespace).is_none()) {
                return Err(SelectionError::NoNamespaces { kind: R::KIND });
            }
            rows.retain(|row| row.is_in(namespace) == Some(true));
        }
        let has_row = |name: &&String| rows.iter().any(|row| row.is_named(name));
        let missing: Vec<String> = self.names.iter().filter(|name| !has_row(name)).cloned().collect();
        if !missing.is_empty() {
            let namespace = self.namespace.clone();
            return Err(SelectionError::NotFound { kind: R::KIND, names: missing, namespace });
        }
        if !self.names.is_empty() {
            rows.retain(|row| self.names.iter().any(|name| row.is_named(name)));
        }
        Ok(rows)
    }
}
