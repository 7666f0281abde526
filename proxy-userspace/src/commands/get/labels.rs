//! The labels of Services, which the agent knows and the maps do not: selects rows by them, and puts them into rows. Pure.

use std::collections::BTreeMap;

use super::{label_selector::LabelSelector, output::Row, service_port::ServicePort};

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// The labels of the Services that an agent serves.
#[derive(Clone, Debug, Default)]
pub struct KnownLabels {
    /// By namespace and name; empty for a Service without labels.
    services: BTreeMap<String, BTreeMap<String, Labels>>,
}

impl KnownLabels {
    /// Takes the labels of each Service that is served, by `namespace/name`.
    pub fn new(services: BTreeMap<String, Labels>) -> Self {
        let mut known = Self::default();
        for (service, labels) in services {
            if let Some((namespace, name)) = service.split_once('/') {
                known.services.entry(namespace.to_owned()).or_default().insert(name.to_owned(), labels);
            }
        }
        known
    }

    /// Returns the labels of a port's Service; `None` if the maps have no name of it, or the agent does not serve it any more.
    fn labels_of(&self, port: &ServicePort) -> Option<&Labels> {
        self.services.get(&port.namespace)?.get(&port.name)
    }

    /// Whether a row's Service fulfils a selector. One whose labels are unknown fulfils only a selector without conditions.
    pub fn selects(&self, selector: &LabelSelector, row: &impl Row) -> bool {
        selector.selects_all() || row.service_port().is_some_and(|port| self.selects_port(selector, port))
    }

    /// Whether a port's Service fulfils a selector. One whose labels are unknown fulfils only a selector without conditions.
    pub fn selects_port(&self, selector: &LabelSelector, port: &ServicePort) -> bool {
        selector.selects_all() || self.labels_of(port).is_some_and(|labels| selector.selects(labels))
    }

    /// Puts the labels of each row's Service into the row, if they are known.
    pub fn show_in<R: Row>(&self, rows: &mut [R]) {
        for row in rows {
            if let Some(labels) = row.service_port().and_then(|port| self.labels_of(port)).cloned() {
                row.set_labels(labels);
            }
        }
    }
}

/// Formats labels as kubectl does in its column LABELS; `<unknown>` for a row that has taken none.
pub fn cell(labels: Option<&Labels>) -> String {
    match labels {
        None => "<unknown>".to_owned(),
        Some(labels) if labels.is_empty() => "<none>".to_owned(),
        Some(labels) => labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Look, Selection, endpoints, json, services, table, tests::snapshot},
        *,
    };

    fn known() -> KnownLabels {
        let labels = [("app", "web"), ("tier", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        KnownLabels::new(
            [("default/web".to_owned(), labels.into()), ("kube-system/dns".to_owned(), Labels::new())].into(),
        )
    }

    /// The names of the Services whose rows a selector selects.
    fn selected<R: Row>(rows: Vec<R>, selector: &str) -> Vec<String> {
        selected_by(&known(), rows, selector)
    }

    fn selected_by<R: Row>(known: &KnownLabels, rows: Vec<R>, selector: &str) -> Vec<String> {
        let selection = Selection { labels: selector.parse().unwrap(), ..Selection::default() };
        let (rows, found) = selection.select(rows, known).unwrap();
        assert_eq!(found, Ok(()));
        rows.iter().filter_map(|row| row.service_port()).map(|port| port.name.clone()).collect()
    }

    #[test]
    fn rows_are_selected_by_the_labels_of_their_services() {
        assert_eq!(selected(services(&snapshot()), "app=web"), ["web", "web"]);
        assert_eq!(selected(services(&snapshot()), "!app"), ["dns"], "which has no labels");
        assert_eq!(selected(services(&snapshot()), ""), ["web", "web", "dns"]);
        assert_eq!(selected(endpoints(&snapshot()), "app!=web"), ["dns"]);
        assert!(selected(services(&snapshot()), "app=db").is_empty());
    }

    #[test]
    fn a_row_of_a_service_without_names_is_not_selected() {
        let mut snapshot = snapshot();
        snapshot.names.remove(&2);
        assert_eq!(selected(services(&snapshot), "app!=db"), ["web", "web"]);
        assert_eq!(selected(services(&snapshot), ""), ["id=2", "web", "web"]);
    }

    #[test]
    fn a_service_that_has_gone_from_the_agent_but_not_yet_from_the_maps_is_not_selected() {
        let mut known = known();
        known.services.remove("default");
        for selector in ["!app", "app!=db", "app notin (db)"] {
            assert_eq!(selected_by(&known, services(&snapshot()), selector), ["dns"], "{selector}");
            assert_eq!(selected_by(&known, endpoints(&snapshot()), selector), ["dns"], "{selector}");
        }
        assert_eq!(selected_by(&known, services(&snapshot()), ""), ["web", "web", "dns"]);
        let mut rows = services(&snapshot()).split_off(1);
        known.show_in(&mut rows);
        let shown = table(&rows, Look { with_labels: true, ..Look::default() });
        let last: Vec<_> = shown.lines().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(last, ["LABELS", "<unknown>", "<none>"]);
    }

    #[test]
    fn a_name_whose_rows_have_other_labels_is_no_error_but_one_without_rows_is() {
        let select = |name: &str| {
            let (names, labels) = (vec![name.to_owned()], "app=db".parse().unwrap());
            let (rows, found) =
                Selection { names, labels, ..Selection::default() }.select(services(&snapshot()), &known()).unwrap();
            (rows.len(), found.is_ok())
        };
        assert_eq!((select("web"), select("shop")), ((0, true), (0, false)));
    }

    #[test]
    fn labels_are_the_last_column_and_a_field() {
        let mut rows = services(&snapshot()).split_off(1);
        let without: serde_json::Value = serde_json::from_str(&json(&rows).unwrap()).unwrap();
        assert!(without[0].get("labels").is_none(), "they are not asked for");
        known().show_in(&mut rows);
        let shown = table(&rows, Look { is_wide: true, with_labels: true, ..Look::default() });
        let last: Vec<_> = shown.lines().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(last, ["LABELS", "app=web,tier=", "<none>"]);
        let shown: serde_json::Value = serde_json::from_str(&json(&rows).unwrap()).unwrap();
        assert_eq!(shown[0]["labels"], serde_json::json!({"app": "web", "tier": ""}));
        assert_eq!(shown[1]["labels"], serde_json::json!({}));
    }
}
