//! Decodes documents to objects: kinds, lists, types. Values are checked in `validate`.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::de::DeserializeOwned;

use super::{
    content::{Content, Found},
    endpoints::{Endpoints, LEADER},
    ignored::Ignored,
    lines::Lines,
    refusal::Refusal,
    tree::{Shape, Tree},
    validate::{self, Fault},
};
use crate::objects::{EndpointSlice, Kind, Node, ObjectRef, Pod, Service, ServiceCidr, TRIGGER_TIME};

/// An object of a kind that a folder serves.
#[derive(Clone, Debug, PartialEq)]
pub enum DecodedObject {
    Service(Service),
    EndpointSlice(EndpointSlice),
    Endpoints(Endpoints),
    Pod(Pod),
    Node(Node),
    ServiceCidr(ServiceCidr),
}

/// The beginning of the year 0, before which RFC 3339 has no times.
const YEAR_0: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// Identifies an object of a folder. A cluster-scoped object has an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The object's kind.
    pub kind: String,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl Identity {
    /// Returns the reference of a reported object, whose kind is known.
    pub fn of_kind(&self, kind: Kind) -> ObjectRef {
        ObjectRef { kind, namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

/// Decodes and validates a document of a file, and adds what it has to the file's content.
pub fn decode(file: &Arc<Path>, mut tree: Tree, content: &mut Content) {
    let (version, identity) = header(&tree);
    let refuse = |identity: &Identity, field: &str, reason: String| refusal(file, &tree, identity, field, reason);
    if identity.kind.is_empty() {
        let nameless = Identity { kind: "object".to_owned(), ..identity };
        content.refusals.push(refuse(&nameless, "kind", "Object 'Kind' is missing".to_owned()));
        return;
    } else if version.is_empty() {
        content.refusals.push(refuse(&identity, "apiVersion", "apiVersion not set".to_owned()));
        return;
    }
    if let Some(item_kind) = list_of(&tree) {
        return decode_list(file, tree, &item_kind, content);
    }
    let (group, number) = version.rsplit_once('/').unwrap_or(("", &version));
    let Some(versions) = served(group, &identity.kind) else {
        content.ignored.push(Ignored { file: Arc::clone(file), line: tree.line, identity });
        return;
    };
    if !versions.contains(&number) {
        let reason = format!("no matches for kind {:?} in version {version:?}", identity.kind);
        content.refusals.push(refuse(&identity, "apiVersion", reason));
        return;
    }
    let result = typed(&tree, &identity).map_err(|fault| vec![fault]).and_then(|object| {
        let faults = validate::validate(&object, &identity, &tree);
        if faults.is_empty() { Ok(object) } else { Err(faults) }
    });
    match result {
        Ok(object) => {
            // Allocation may still refuse fields of a Service's spec. Other objects can only be refused for their name.
            tree.keep(if matches!(object, DecodedObject::Service(_)) { &["metadata", "spec"] } else { &["metadata"] });
            let (file, lines) = (Arc::clone(file), Lines::of(&tree));
            content.objects.push(Found { file, lines, identity, object: object.into() });
        }
        Err(faults) => {
            let refused = |fault: Fault| refuse(&identity, &fault.field, fault.reason);
            content.refusals.extend(faults.into_iter().map(refused));
        }
    }
}

/// Returns the API version and identity of a document.
fn header(tree: &Tree) -> (String, Identity) {
    let text = |path| tree.at(path).and_then(Tree::as_str).unwrap_or_default().to_owned();
    let kind = text("kind");
    let namespace = match text("metadata.namespace") {
        _ if matches!(kind.as_str(), "Node" | "ServiceCIDR") => String::new(),
        empty if empty.is_empty() => "default".to_owned(),
        namespace => namespace,
    };
    (text("apiVersion"), Identity { kind, namespace, name: text("metadata.name") })
}

/// Returns the API versions in which a kind is read; `None` if a folder does not serve the kind.
fn served(group: &str, kind: &str) -> Option<&'static [&'static str]> {
    match (group, kind) {
        ("", "Service" | "Endpoints" | "Pod" | "Node") | ("discovery.k8s.io", "EndpointSlice") => Some(&["v1"]),
        ("networking.k8s.io", "ServiceCIDR") => Some(&["v1", "v1beta1"]),
        _ => None,
    }
}

/// Returns the kind of a list's items; empty for a `List`, whose items have kinds of their own.
fn list_of(tree: &Tree) -> Option<String> {
    let kind = tree.get("kind")?.as_str()?.strip_suffix("List")?;
    matches!(tree.get("items")?.shape, Shape::Sequence(_)).then(|| kind.to_owned())
}

/// Decodes the items of a list. Items of a typed list may leave out kind and version, which then follow from the list's.
fn decode_list(file: &Arc<Path>, mut tree: Tree, item_kind: &str, content: &mut Content) {
    let version = tree.get("apiVersion").cloned();
    let Shape::Mapping(fields) = &mut tree.shape else { return };
    let items = fields.iter_mut().find(|(name, _)| name == "items").map(|(_, items)| &mut items.shape);
    let Some(Shape::Sequence(items)) = items else { return };
    for mut item in std::mem::take(items) {
        let line = item.line;
        if !item_kind.is_empty()
            && item.get("kind").is_none()
            && let Shape::Mapping(fields) = &mut item.shape
        {
            fields.push(("kind".to_owned(), Tree { line, shape: Shape::String(item_kind.to_owned()) }));
            let unversioned = fields.iter().all(|(name, _)| name != "apiVersion");
            fields.extend(version.clone().filter(|_| unversioned).map(|version| ("apiVersion".to_owned(), version)));
        }
        decode(file, item, content);
    }
}

fn typed(tree: &Tree, identity: &Identity) -> Result<DecodedObject, Fault> {
    let mut object = match identity.kind.as_str() {
        "Service" => DecodedObject::Service(from_tree(tree, identity)?),
        "EndpointSlice" => DecodedObject::EndpointSlice(from_tree(tree, identity)?),
        "Endpoints" => DecodedObject::Endpoints(from_tree(tree, identity)?),
        "Pod" => DecodedObject::Pod(from_tree(tree, identity)?),
        "Node" => DecodedObject::Node(from_tree(tree, identity)?),
        _ => DecodedObject::ServiceCidr(from_tree(tree, identity)?),
    };
    let metadata = match &mut object {
        DecodedObject::Service(object) => &mut object.metadata,
        DecodedObject::EndpointSlice(object) => &mut object.metadata,
        DecodedObject::Endpoints(object) => &mut object.metadata,
        DecodedObject::Pod(object) => &mut object.metadata,
        DecodedObject::Node(object) => &mut object.metadata,
        DecodedObject::ServiceCidr(object) => &mut object.metadata,
    };
    *metadata = reduced_metadata(std::mem::take(metadata), identity)?;
    Ok(object)
}

/// Keeps the metadata that is read later, and sets the object's namespace. Fails if a time can't be written as RFC 3339 has it.
fn reduced_metadata(metadata: ObjectMeta, identity: &Identity) -> Result<ObjectMeta, Fault> {
    let times = [
        ("metadata.creationTimestamp", &metadata.creation_timestamp),
        ("metadata.deletionTimestamp", &metadata.deletion_timestamp),
    ];
    for (field, time) in times {
        if let Some(Time(time)) = time
            && *time < YEAR_0
        {
            let reason = format!("cannot be handled as a {}: {time} is before the year 0", identity.kind);
            return Err(Fault { field: field.to_owned(), reason });
        }
    }
    let mut annotations = metadata.annotations.unwrap_or_default();
    let annotations: BTreeMap<_, _> =
        [TRIGGER_TIME, LEADER].into_iter().filter_map(|name| annotations.remove_entry(name)).collect();
    Ok(ObjectMeta {
        name: metadata.name,
        namespace: Some(identity.namespace.clone()).filter(|namespace| !namespace.is_empty()),
        labels: metadata.labels,
        annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
        creation_timestamp: metadata.creation_timestamp,
        deletion_timestamp: metadata.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

fn from_tree<T: DeserializeOwned>(tree: &Tree, identity: &Identity) -> Result<T, Fault> {
    serde_path_to_error::deserialize(tree.to_value()).map_err(|error| {
        let path = error.path().to_string();
        Fault {
            field: if path == "." { String::new() } else { path },
            reason: format!("cannot be handled as a {}: {}", identity.kind, error.inner()),
        }
    })
}

fn refusal(file: &Path, tree: &Tree, identity: &Identity, field: &str, reason: String) -> Refusal {
    Refusal {
        file: file.to_owned(),
        line: Lines::of(tree).line_of(field),
        object: identity.to_string(),
        field: field.to_owned(),
        reason,
    }
}
