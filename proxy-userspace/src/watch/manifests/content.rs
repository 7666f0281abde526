//! What is kept of a file: its objects, packed, and what is wrong with it.

use std::{path::Path, sync::Arc};

use super::{
    decode::{self, DecodedObject, Identity},
    endpoints::Endpoints,
    ignored::Ignored,
    lines::Lines,
    packed::Packed,
    refusal::Refusal,
    tree::{self, Shape, SyntaxError, Tree},
};
use crate::{
    objects::{Object, Pod, Service},
    watch::selectors::is_reported,
};

/// An object of a kind that a folder serves. Slices, Nodes and ServiceCIDRs are reported as they are. Services, Endpoints and Pods
/// are inputs: what is reported is made from them.
#[derive(Clone, Debug)]
pub enum KeptObject {
    Service(Packed<Service>),
    EndpointSlice(Packed<Object>),
    /// A slice that is not reported. Only its name matters.
    HiddenSlice,
    Endpoints(Packed<Endpoints>),
    Pod(Packed<Pod>),
    Node(Packed<Object>),
    ServiceCidr(Packed<Object>),
}

impl From<DecodedObject> for KeptObject {
    fn from(object: DecodedObject) -> Self {
        match object {
            DecodedObject::Service(object) => Self::Service(Packed::of(&object)),
            DecodedObject::EndpointSlice(object) => {
                let object = Object::EndpointSlice(object);
                if is_reported(&object) { Self::EndpointSlice(Packed::of(&object)) } else { Self::HiddenSlice }
            }
            DecodedObject::Endpoints(object) => Self::Endpoints(Packed::of(&object)),
            DecodedObject::Pod(object) => Self::Pod(Packed::of(&object)),
            DecodedObject::Node(object) => Self::Node(Packed::of(&Object::Node(object))),
            DecodedObject::ServiceCidr(object) => Self::ServiceCidr(Packed::of(&Object::ServiceCidr(object))),
        }
    }
}

/// A valid object and its origin.
#[derive(Clone, Debug)]
pub struct Found {
    /// The file.
    pub file: Arc<Path>,
    /// The lines of the object, and of the fields that may still be refused.
    pub lines: Lines,
    /// The object's identity.
    pub identity: Identity,
    /// The object.
    pub object: KeptObject,
}

impl Found {
    /// Returns a refusal of the object because of a field.
    pub fn refuse(&self, field: &str, reason: String) -> Refusal {
        Refusal {
            file: self.file.to_path_buf(),
            line: self.lines.line_of(field),
            object: self.identity.to_string(),
            field: field.to_owned(),
            reason,
        }
    }
}

/// The content of a file.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// The valid objects, in the order of the file.
    pub objects: Vec<Found>,
    /// Refusals of invalid objects.
    pub refusals: Vec<Refusal>,
    /// Objects of kinds that a folder does not serve.
    pub ignored: Vec<Ignored>,
}

impl Content {
    /// Reads a file's text.
    pub fn read(file: &Arc<Path>, text: &str) -> Result<Self, SyntaxError> {
        let Documents { mut content, .. } = tree::parse(text)?;
        content.objects.shrink_to_fit();
        content.objects.iter_mut().for_each(|found| found.file = Arc::clone(file));
        content.refusals.iter_mut().for_each(|refusal| refusal.file = file.to_path_buf());
        content.ignored.iter_mut().for_each(|ignored| ignored.file = Arc::clone(file));
        Ok(content)
    }
}

/// The content of the documents that have been parsed so far: only one of them is in memory as a tree. The parser makes an empty
/// value of this type, so its objects get the name of their file afterwards.
struct Documents {
    content: Content,
    nameless: Arc<Path>,
}

impl Default for Documents {
    fn default() -> Self {
        Self { content: Content::default(), nameless: Arc::from(Path::new("")) }
    }
}

impl Extend<Tree> for Documents {
    fn extend<T: IntoIterator<Item = Tree>>(&mut self, documents: T) {
        for document in documents.into_iter().filter(|document| document.shape != Shape::Null) {
            decode::decode(&self.nameless, document, &mut self.content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bytes that are kept of an object, without what the allocator adds.
    fn kept(found: &Found) -> usize {
        let Identity { kind, namespace, name } = &found.identity;
        let object = match &found.object {
            KeptObject::EndpointSlice(object) | KeptObject::Node(object) | KeptObject::ServiceCidr(object) => {
                object.size()
            }
            KeptObject::HiddenSlice => 0,
            KeptObject::Service(object) => object.size(),
            KeptObject::Endpoints(object) => object.size(),
            KeptObject::Pod(object) => object.size(),
        };
        let strings = [kind, namespace, name].map(String::capacity).iter().sum::<usize>();
        size_of::<Found>() + strings + found.lines.size() + object
    }

    #[test]
    fn little_is_kept_of_a_service_and_its_endpoints() {
        let service = "kind: Service\napiVersion: v1\nmetadata: {name: web-1234, namespace: shop}\n\
                       spec: {ports: [{name: http, port: 80, targetPort: 8080}]}\n";
        let slice = "kind: EndpointSlice\napiVersion: discovery.k8s.io/v1\n\
                     metadata: {name: web-1234-x, namespace: shop, labels: {kubernetes.io/service-name: web-1234}}\n\
                     addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints:\n";
        let endpoint = |number: u32| {
            let node = number % 3;
            format!(
                "- {{addresses: [10.1.{}.{number}], conditions: {{ready: true}}, nodeName: node-{node}}}\n",
                number * 7
            )
        };
        let endpoints: String = (0..10).map(endpoint).collect();
        // Comments, unknown fields and what `kubectl apply` notes are not kept at all.
        let noise = format!("# {}\nstatus: {{x: {}}}\n", "x".repeat(5000), "y".repeat(5000));
        let text = format!("{service}{noise}---\n{slice}{endpoints}{noise}");
        let content = Content::read(&Arc::from(Path::new("a.yaml")), &text).expect("valid");
        assert_eq!(content.objects.capacity(), 2);
        let kept: Vec<_> = content.objects.iter().map(kept).collect();
        assert!(kept.iter().sum::<usize>() < 1200, "{kept:?} bytes");
    }
}
