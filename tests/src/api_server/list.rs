//! Lists: one page of a resource as it was at one version. It must not know of HTTP.

use serde_json::{Value, json};

use super::{
    query::{Continue, Query, VersionMatch},
    resource::Target,
    status::Refusal,
    store::Store,
};

/// Whether an object is in the target and selected.
pub(super) fn selected(target: &Target, query: &Query, object: &Value) -> bool {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    target.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
        && query.labels.iter().all(|condition| condition.matches(object))
        && query.fields.iter().all(|field| field.matches(object))
}

/// The list object that answers the query.
pub(super) fn list(store: &Store, target: &Target, query: &Query) -> Result<Value, Refusal> {
    let version = version(store, query)?;
    let snapshot = store.snapshot(target.resource, version).map_err(|refusal| match query.continue_from {
        Some(_) => Refusal::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new \
             list without the continue parameter.",
        ),
        None => refusal,
    })?;
    let after = query.continue_from.as_ref().map(|from| &from.after);
    let mut rest = snapshot
        .iter()
        .filter(|(key, object)| after.is_none_or(|after| *key > after) && selected(target, query, object));
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let remaining = rest.count();
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if let (Some((key, _)), 1..) = (page.last(), remaining) {
        metadata["continue"] = json!(Continue { version, after: (*key).clone() }.token());
        if query.labels.is_empty() && query.fields.is_empty() {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    let items: Vec<Value> = page.into_iter().map(|(_, object)| list_item(object)).collect();
    Ok(json!({
        "kind": format!("{}List", target.resource.kind),
        "apiVersion": target.resource.api_version,
        "metadata": metadata,
        "items": items,
    }))
}

/// The items of a list have no kind and apiVersion of their own.
fn list_item(object: &Value) -> Value {
    let mut item = object.clone();
    if let Some(fields) = item.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    item
}

fn version(store: &Store, query: &Query) -> Result<u64, Refusal> {
    if let Some(from) = &query.continue_from {
        return Ok(from.version);
    }
    match query.version {
        Some(asked) if asked > store.version() => Err(Refusal::version_too_large(asked, store.version())),
        Some(asked) if query.version_match == Some(VersionMatch::Exact) => Ok(asked),
        _ => Ok(store.version()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(names: &[&str]) -> Store {
        let mut store = Store::new(100);
        for name in names {
            store.put(json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}})).unwrap();
        }
        store
    }

    fn page(store: &Store, query: &Query) -> (Vec<String>, Option<String>) {
        let list = list(store, &Target::parse("/api/v1/nodes").unwrap(), query).unwrap();
        let names = list["items"].as_array().unwrap().iter();
        (
            names.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect(),
            list["metadata"]["continue"].as_str().map(str::to_owned),
        )
    }

    fn query(pairs: &[(&str, &str)]) -> Query {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Query::parse(&pairs).unwrap()
    }

    #[test]
    fn pages_show_one_version_even_while_objects_change() {
        let mut store = store(&["a", "b", "c"]);
        let (first, token) = page(&store, &query(&[("limit", "2")]));
        assert_eq!(first, ["a", "b"]);
        store.delete(super::super::resource::by_kind("Node").unwrap(), (String::new(), "c".to_owned()));
        let (second, end) = page(&store, &query(&[("limit", "2"), ("continue", &token.unwrap())]));
        assert_eq!((second, end), (vec!["c".to_owned()], None));
    }

    #[test]
    fn an_expired_page_and_a_future_version_are_refused() {
        let mut store = store(&["a", "b"]);
        let (_, token) = page(&store, &query(&[("limit", "1")]));
        store.put(json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "d"}})).unwrap();
        store.compact();
        let target = Target::parse("/api/v1/nodes").unwrap();
        let code = |query: &Query| list(&store, &target, query).unwrap_err().code;
        assert_eq!(code(&query(&[("continue", &token.unwrap())])), 410);
        assert_eq!(code(&query(&[("resourceVersion", "99")])), 504);
    }
}
