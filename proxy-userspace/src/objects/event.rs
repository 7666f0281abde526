//! An event of a source: an object of some kind exists, or is gone.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{EndpointSlice, Node, Service, ServiceCidr};

/// The kinds of objects that the model is built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// core/v1 Service.
    Service,
    /// discovery.k8s.io/v1 EndpointSlice.
    EndpointSlice,
    /// core/v1 Node: this node only.
    Node,
    /// networking.k8s.io/v1 ServiceCIDR.
    ServiceCidr,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Service, Self::EndpointSlice, Self::Node, Self::ServiceCidr];

    /// Whether objects of this kind are namespaced. A namespace in a cluster-scoped object is ignored.
    pub const fn has_namespaces(self) -> bool {
        matches!(self, Self::Service | Self::EndpointSlice)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Node => "Node",
            Self::ServiceCidr => "ServiceCIDR",
        })
    }
}

/// An object as its source reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is the object of its name")]
#[expect(clippy::large_enum_variant, reason = "an event boxes it")]
pub enum Object {
    Service(Service),
    EndpointSlice(EndpointSlice),
    Node(Node),
    ServiceCidr(ServiceCidr),
}

/// Identifies an object. A cluster-scoped object has an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

impl ObjectRef {
    /// Returns the fields `service` and `object` of log lines about this object: a Service's name goes into `service`, as in all
    /// lines about Services, the kind and name of any other object into `object`.
    pub(crate) fn logged(&self) -> (Option<String>, Option<String>) {
        let Self { kind, namespace, name } = self;
        let is_service = *kind == Kind::Service;
        (is_service.then(|| format!("{namespace}/{name}")), (!is_service).then(|| self.to_string()))
    }
}

impl Object {
    /// The object's kind and name.
    pub fn reference(&self) -> ObjectRef {
        let (kind, metadata) = match self {
            Self::Service(object) => (Kind::Service, &object.metadata),
            Self::EndpointSlice(object) => (Kind::EndpointSlice, &object.metadata),
            Self::Node(object) => (Kind::Node, &object.metadata),
            Self::ServiceCidr(object) => (Kind::ServiceCidr, &object.metadata),
        };
        ObjectRef {
            kind,
            namespace: metadata.namespace.clone().filter(|_| kind.has_namespaces()).unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl Event {
    /// The kind of the object that has changed, if one has.
    pub fn changed(&self) -> Option<Kind> {
        match self {
            Self::Applied(object) => Some(match **object {
                Object::Service(_) => Kind::Service,
                Object::EndpointSlice(_) => Kind::EndpointSlice,
                Object::Node(_) => Kind::Node,
                Object::ServiceCidr(_) => Kind::ServiceCidr,
            }),
            Self::Deleted(reference) => Some(reference.kind),
            Self::Listed(_) => None,
        }
    }
}

/// An event of a source. Applying the same object twice, or deleting an unknown one, changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The object exists with this content: it is new or has changed.
    Applied(Box<Object>),
    /// The object is gone, or no longer selected (S1).
    Deleted(ObjectRef),
    /// Every existing object of this kind has been reported at least once. After a relist, the source first reports
    /// objects that it no longer found as deleted, then sends this again.
    Listed(Kind),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_scoped_object_is_known_by_its_name_alone() {
        let (mut cidr, mut service) = (ServiceCidr::default(), Service::default());
        for metadata in [&mut cidr.metadata, &mut service.metadata] {
            (metadata.namespace, metadata.name) = (Some("shop".to_owned()), Some("a".to_owned()));
        }
        assert_eq!(Object::ServiceCidr(cidr).reference().to_string(), "ServiceCIDR a");
        assert_eq!(Object::Service(service).reference().to_string(), "Service shop/a");
    }
}
