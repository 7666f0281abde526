//! Which rows are asked for, by names, namespace, fields and labels, and their order. Pure.

use super::{fields::FieldSelector, label_selector::LabelSelector, labels::KnownLabels, output::Row, sort::SortBy};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only rows of this namespace.
    pub namespace: Option<String>,
    /// Only rows with these names; all if there are none.
    pub names: Vec<String>,
    /// Only rows whose fields fulfil these conditions.
    pub fields: FieldSelector,
    /// Only rows whose Services' labels fulfil these conditions.
    pub labels: LabelSelector,
    /// The field that rows are sorted by.
    pub sort_by: Option<SortBy>,
}

/// The rows that are asked for, and an error if a name has none.
pub type Selected<R> = (Vec<R>, Result<(), NotFound>);

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
    /// Returns the rows that are asked for. A name whose rows all fail the conditions on fields or labels is no error.
    pub fn select<R: Row>(&self, mut rows: Vec<R>, known: &KnownLabels) -> Result<Selected<R>, serde_json::Error> {
        if let Some(namespace) = &self.namespace {
            rows.retain(|row| row.is_in(namespace));
        }
        let found = self.find(&mut rows);
        rows.retain(|row| known.selects(&self.labels, row));
        if !self.fields.selects_all() || self.sort_by.is_some() {
            rows = self.by_fields(rows)?;
        }
        Ok((rows, found))
    }

    /// Returns the rows whose fields fulfil the conditions, sorted as asked for. The sort is stable.
    fn by_fields<R: Row>(&self, rows: Vec<R>) -> Result<Vec<R>, serde_json::Error> {
        let mut selected = Vec::new();
        for row in rows {
            let fields = serde_json::to_value(&row)?;
            if self.fields.selects(&fields) {
                selected.push((self.sort_by.as_ref().map(|sort_by| sort_by.key(&fields)), row));
            }
        }
        selected.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(selected.into_iter().map(|(_, row)| row).collect())
    }

    /// Leaves only rows with the names.
    fn find<R: Row>(&self, rows: &mut Vec<R>) -> Result<(), NotFound> {
        if self.names.is_empty() {
            return Ok(());
        }
        let has_no_row = |name: &&String| !rows.iter().any(|row| row.is_named(name));
        let names: Vec<String> = self.names.iter().filter(has_no_row).cloned().collect();
        rows.retain(|row| self.names.iter().any(|name| row.is_named(name)));
        let missing = NotFound { kind: R::KIND, names, namespace: self.namespace.clone() };
        if missing.names.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// Says that there are no rows, as kubectl does.
    pub fn nothing<R: Row>(&self) -> String {
        format!("no {} found{}", R::KIND, place(self.namespace.as_deref()))
    }
}
