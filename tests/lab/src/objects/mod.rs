//! Kubernetes objects for tests, built as JSON, and the places where tests put them: a folder of manifests or an API
//! server. Builders write only what was asked for, so that defaults are tested too.

use serde_json::{Value, json};

/// The methods of all builders: the object itself, labels, and for namespaced kinds a namespace other than
/// [`NAMESPACE`].
macro_rules! metadata {
    ($builder:ident) => {
        impl $builder {
            /// The object so far.
            pub fn build(&self) -> serde_json::Value {
                self.object.clone()
            }

            /// Sets a label.
            #[must_use]
            pub fn label(mut self, key: &str, value: &str) -> Self {
                self.object["metadata"]["labels"][key] = value.into();
                self
            }
        }
    };
    ($builder:ident, namespaced) => {
        metadata!($builder);

        impl $builder {
            /// Sets another namespace.
            #[must_use]
            pub fn namespace(mut self, namespace: &str) -> Self {
                self.object["metadata"]["namespace"] = namespace.into();
                self
            }
        }
    };
}

mod manifests;
mod node;
mod pod;
mod service;
mod slice;

pub use manifests::ManifestDir;
pub use node::{NodeBuilder, lab_node, node, service_cidr};
pub use pod::{PodBuilder, pod};
pub use service::{ServiceBuilder, service};
pub use slice::{SliceBuilder, slice};

/// The namespace of all objects that name no other.
pub const NAMESPACE: &str = "default";

/// A place that stores objects. The same scenario runs against each implementation.
pub trait Cluster {
    /// Creates or replaces an object.
    ///
    /// # Panics
    /// When the object has no kind or name, or can't be stored: a test can't continue then.
    fn put(&self, object: &Value);

    /// Removes an object. `namespace` is empty for kinds without. A missing object is no error.
    ///
    /// # Panics
    /// When it can't be removed.
    fn delete(&self, kind: &str, namespace: &str, name: &str);
}

/// Kind, namespace (empty without) and name of an object.
pub fn identity(object: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    (text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

/// An object of `kind`; namespaced unless `namespace` is empty.
fn object(api: &str, kind: &str, namespace: &str, name: &str) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

/// Appends to the list at `list`, and makes the list when it is missing.
fn append(list: &mut Value, value: Value) {
    match list {
        Value::Array(values) => values.push(value),
        other => *other = Value::Array(vec![value]),
    }
}
