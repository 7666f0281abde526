//! From a document to the objects in it: kinds, lists, types. It does not judge values: `validate` does.

use std::{fmt, path::Path, sync::Arc};

use serde::de::DeserializeOwned;

use super::{
    endpoints::Endpoints,
    refusal::Refusal,
    tree::{Shape, Tree},
    validate,
};
use crate::objects::{EndpointSlice, Node, Pod, Service, ServiceCidr};

/// An object that a folder serves.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    Service(Service),
    EndpointSlice(EndpointSlice),
    Endpoints(Endpoints),
    Pod(Pod),
    Node(Node),
    ServiceCidr(ServiceCidr),
}

/// Names an object of a folder. The namespace of a cluster-scoped one is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

/// A valid object and where it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The file.
    pub file: Arc<Path>,
    /// The lines of the object and its fields.
    pub tree: Arc<Tree>,
    /// The object's name.
    pub identity: Identity,
    /// The object.
    pub object: Object,
}

impl Found {
    /// Refuses the object because of a field.
    pub fn refuse(&self, field: &str, reason: String) -> Refusal {
        refusal(&self.file, &self.tree, &self.identity, field, reason)
    }
}

/// What the text of a file holds.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Valid objects, in the file's order.
    pub objects: Vec<Found>,
    /// Invalid ones.
    pub refusals: Vec<Refusal>,
    /// Objects of kinds that a folder does not serve.
    pub ignored: Vec<Identity>,
}

/// Decodes and validates the documents of a file.
pub fn decode(file: &Arc<Path>, documents: Vec<Tree>) -> Content {
    let mut content = Content::default();
    for document in documents {
        decode_one(file, document, &mut content);
    }
    content
}

fn decode_one(file: &Arc<Path>, tree: Tree, content: &mut Content) {
    let text = |path| tree.at(path).and_then(Tree::as_str).unwrap_or_default();
    let (kind, version, name) = (text("kind"), text("apiVersion"), text("metadata.name"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let mut identity = Identity { kind: kind.to_owned(), namespace: String::new(), name: name.to_owned() };
    let namespace = Some(text("metadata.namespace")).filter(|namespace| !namespace.is_empty()).unwrap_or("default");
    if kind.is_empty() || version.is_empty() {
        let (field, reason) =
            if kind.is_empty() { ("kind", "Object 'Kind' is missing") } else { ("apiVersion", "apiVersion not set") };
        identity.kind = if kind.is_empty() { "object".to_owned() } else { kind.to_owned() };
        content.refusals.push(refusal(file, &tree, &identity, field, reason.to_owned()));
        return;
    }
    if let Some(item_kind) = list_of(&tree) {
        return decode_list(file, tree, &item_kind, content);
    }
    let versions: &[&str] = match (group, kind) {
        ("", "Service" | "Endpoints" | "Pod" | "Node") | ("discovery.k8s.io", "EndpointSlice") => &["v1"],
        ("networking.k8s.io", "ServiceCIDR") => &["v1", "v1beta1"],
        _ => {
            namespace.clone_into(&mut identity.namespace);
            content.ignored.push(identity);
            return;
        }
    };
    if !matches!(kind, "Node" | "ServiceCIDR") {
        namespace.clone_into(&mut identity.namespace);
    }
    if !versions.contains(&version) {
        let reason = format!("no matches for kind {kind:?} in version {:?}", text("apiVersion"));
        content.refusals.push(refusal(file, &tree, &identity, "apiVersion", reason));
        return;
    }
    match typed(&tree, &identity) {
        Ok(object) => {
            let faults = validate::validate(&object, &identity, &tree);
            if faults.is_empty() {
                content.objects.push(Found { file: Arc::clone(file), tree: Arc::new(tree), identity, object });
                return;
            }
            let refused = faults.into_iter().map(|fault| refusal(file, &tree, &identity, &fault.field, fault.reason));
            content.refusals.extend(refused);
        }
        Err((field, reason)) => content.refusals.push(refusal(file, &tree, &identity, &field, reason)),
    }
}

/// The kind of a list's items: empty for a `List`, whose items say it themselves.
fn list_of(tree: &Tree) -> Option<String> {
    let kind = tree.get("kind")?.as_str()?.strip_suffix("List")?;
    matches!(tree.get("items")?.shape, Shape::Sequence(_)).then(|| kind.to_owned())
}

/// Items of a typed list may leave out kind and version: they are the list's.
fn decode_list(file: &Arc<Path>, mut tree: Tree, item_kind: &str, content: &mut Content) {
    let version = tree.get("apiVersion").cloned();
    let Shape::Mapping(fields) = &mut tree.shape else { return };
    let items = fields.iter_mut().find(|(name, _)| name == "items").map(|(_, items)| &mut items.shape);
    let Some(Shape::Sequence(items)) = items else { return };
    for mut item in std::mem::take(items) {
        let line = item.line;
        if !item_kind.is_empty() && item.get("kind").is_none() {
            if let Shape::Mapping(fields) = &mut item.shape {
                fields.push(("kind".to_owned(), Tree { line, shape: Shape::String(item_kind.to_owned()) }));
                if let Some(version) = version.clone().filter(|_| fields.iter().all(|(name, _)| name != "apiVersion")) {
                    fields.push(("apiVersion".to_owned(), version));
                }
            }
        }
        decode_one(file, item, content);
    }
}

fn typed(tree: &Tree, identity: &Identity) -> Result<Object, (String, String)> {
    let (kind, namespace) = (identity.kind.as_str(), identity.namespace.as_str());
    let namespace = (!namespace.is_empty()).then(|| namespace.to_owned());
    Ok(match kind {
        "Service" => {
            let mut object: Service = from_tree(tree, kind)?;
            object.metadata.namespace = namespace;
            Object::Service(object)
        }
        "EndpointSlice" => {
            let mut object: EndpointSlice = from_tree(tree, kind)?;
            object.metadata.namespace = namespace;
            Object::EndpointSlice(object)
        }
        "Endpoints" => {
            let mut object: Endpoints = from_tree(tree, kind)?;
            object.metadata.namespace = namespace;
            Object::Endpoints(object)
        }
        "Pod" => {
            let mut object: Pod = from_tree(tree, kind)?;
            object.metadata.namespace = namespace;
            Object::Pod(object)
        }
        "Node" => Object::Node(from_tree(tree, kind)?),
        _ => Object::ServiceCidr(from_tree(tree, kind)?),
    })
}

fn from_tree<T: DeserializeOwned>(tree: &Tree, kind: &str) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(tree.to_value()).map_err(|error| {
        let path = error.path().to_string();
        (if path == "." { String::new() } else { path }, format!("cannot be handled as a {kind}: {}", error.inner()))
    })
}

fn refusal(file: &Path, tree: &Tree, identity: &Identity, field: &str, reason: String) -> Refusal {
    Refusal {
        file: file.to_owned(),
        line: tree.line_of(field),
        object: identity.to_string(),
        field: field.to_owned(),
        reason,
    }
}
