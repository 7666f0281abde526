//! Where sets of objects differ, field by field. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::render::Objects;

/// Fields that differ, by the object's kind and name and the field's JSON pointer, with both values. An absent one is null.
pub type Changes = BTreeMap<String, (Value, Value)>;

/// Compares every field.
pub fn changes(before: &Objects, after: &Objects) -> Changes {
    let (before, after) = (fields(before), fields(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value = |fields: &BTreeMap<String, Value>, name: &String| fields.get(name).cloned().unwrap_or_default();
    let both = names.into_iter().map(|name| (name.clone(), (value(&before, name), value(&after, name))));
    both.filter(|(_, (before, after))| before != after).collect()
}

fn fields(objects: &Objects) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    for (name, object) in objects {
        visit(name.clone(), object, &mut fields);
    }
    fields
}

/// Adds the fields below `value`. Empty lists and objects are fields.
fn visit(path: String, value: &Value, fields: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                visit(format!("{path}/{}", name.replace('/', "~1")), member, fields);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                visit(format!("{path}/{index}"), item, fields);
            }
        }
        _ => drop(fields.insert(path, value.clone())),
    }
}

#[test]
fn a_field_that_comes_goes_or_changes_is_named() {
    use serde_json::json;

    let objects = |spec: Value| Objects::from([("Pod/a".to_owned(), json!({ "spec": spec }))]);
    let before = objects(json!({ "same": [1, { "a/b": "c" }], "goes": {}, "list": [1, 2] }));
    let after = objects(json!({ "same": [1, { "a/b": "d" }], "comes": "x", "list": [1] }));
    let expected = [
        ("Pod/a/spec/comes", json!(null), json!("x")),
        ("Pod/a/spec/goes", json!({}), json!(null)),
        ("Pod/a/spec/list/1", json!(2), json!(null)),
        ("Pod/a/spec/same/1/a~1b", json!("c"), json!("d")),
    ];
    let expected = expected.map(|(name, before, after)| (name.to_owned(), (before, after)));
    assert_eq!(changes(&before, &after), Changes::from(expected));
    assert_eq!(changes(&before, &before), Changes::new());
}
