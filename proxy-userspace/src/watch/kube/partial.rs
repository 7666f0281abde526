//! Decodes objects so that bad ones do no harm: the content of each object is decoded separately, and an object with
//! malformed content keeps its name. Does not validate the content.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::objects::TRIGGER_TIME;

/// An object as far as it could be decoded.
#[derive(Clone, Debug)]
pub(super) struct Partial<K> {
    /// The metadata, moved out of the content.
    pub(super) metadata: ObjectMeta,
    /// The content without metadata, or why it could not be decoded.
    content: Result<K, String>,
}

impl<K: Resource> Partial<K> {
    /// Returns the whole object without the metadata that the agent does not use, or why it can't be decoded.
    pub(super) fn into_object(self) -> Result<K, String> {
        let Self { mut metadata, content } = self;
        metadata.managed_fields = None;
        let annotations = metadata.annotations.take();
        let used = annotations.and_then(|mut annotations| annotations.remove_entry(TRIGGER_TIME));
        metadata.annotations = used.map(|entry| BTreeMap::from([entry]));
        let mut object = content?;
        *object.meta_mut() = metadata;
        Ok(object)
    }
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Partial<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Named {
            metadata: ObjectMeta,
        }
        let raw = <&RawValue>::deserialize(deserializer)?;
        match serde_json::from_str::<K>(raw.get()) {
            Ok(mut object) => Ok(Self { metadata: std::mem::take(object.meta_mut()), content: Ok(object) }),
            Err(error) => {
                // Without a name there is nothing to report, so the stream fails.
                let Named { metadata } = serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?;
                Ok(Self { metadata, content: Err(error.to_string()) })
            }
        }
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Partial<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(dynamic: &()) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &()) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &()) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &()) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Service;

    #[test]
    fn s6_a_malformed_object_keeps_its_name() {
        let text = r#"[{"metadata":{"name":"a"},"spec":{"ports":"none"}},{"metadata":{"name":"b"}}]"#;
        let mut objects: Vec<Partial<Service>> = serde_json::from_str(text).unwrap();
        assert_eq!(objects.pop().unwrap().into_object().unwrap().metadata.name.as_deref(), Some("b"));
        let object = objects.pop().unwrap();
        assert_eq!(object.metadata.name.as_deref(), Some("a"));
        let reason = object.into_object().unwrap_err();
        assert!(reason.contains("invalid type"), "{reason}");
    }
}
