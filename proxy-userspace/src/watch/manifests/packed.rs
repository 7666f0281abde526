//! Keeps objects small: as JSON, compressed. A folder's objects are looked at when something changes, and otherwise only kept.

use std::{
    hash::{BuildHasher as _, RandomState},
    marker::PhantomData,
    sync::{Arc, LazyLock},
};

use k8s_openapi::apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString};
use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use proxy_common::Protocol;
use serde::{Serialize, de::DeserializeOwned};

use crate::objects::{
    Endpoint, EndpointConditions, EndpointPort, EndpointSlice, Object, Service, ServicePort, ServiceSpec,
};

/// Usual objects as JSON. What an object has in common with them takes a few bytes.
static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(dictionary);

/// An object in a compressed form. Equal objects have equal forms, and a clone shares the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed<T> {
    bytes: Arc<[u8]>,
    of: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Packed<T> {
    /// Packs an object.
    pub fn of(object: &T) -> Self {
        let json = serde_json::to_vec(object).expect("objects have text keys and times that RFC 3339 can express");
        Self { bytes: compress_prepend_size_with_dict(&json, &DICTIONARY).into(), of: PhantomData }
    }

    /// Returns the object.
    pub fn unpack(&self) -> T {
        let json = decompress_size_prepended_with_dict(&self.bytes, &DICTIONARY).expect("compressed above");
        serde_json::from_slice(&json).expect("serialised above")
    }

    /// Returns a hash of the object. With the same `keys`, equal objects have equal hashes.
    pub fn hash(&self, keys: &RandomState) -> u64 {
        keys.hash_one(&self.bytes)
    }
}

#[cfg(test)]
impl<T> Packed<T> {
    /// Returns how many bytes the object takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether both are the same bytes in memory.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }

    /// Returns a pointer to the bytes that does not keep them in memory.
    pub fn downgrade(&self) -> std::sync::Weak<[u8]> {
        Arc::downgrade(&self.bytes)
    }
}

fn dictionary() -> Vec<u8> {
    let written = ServiceSpec {
        ports: Some(vec![ServicePort {
            name: Some("http".to_owned()),
            protocol: Some(Protocol::Tcp.name().to_owned()),
            port: 80,
            target_port: Some(IntOrString::Int(8080)),
            node_port: None,
        }]),
        ..ServiceSpec::default()
    };
    let completed = ServiceSpec {
        r#type: Some("ClusterIP".to_owned()),
        cluster_ip: Some("10.96.0.1".to_owned()),
        cluster_ips: Some(vec!["10.96.0.1".to_owned()]),
        ip_families: Some(vec!["IPv4".to_owned()]),
        ip_family_policy: Some("SingleStack".to_owned()),
        internal_traffic_policy: Some("Cluster".to_owned()),
        session_affinity: Some("None".to_owned()),
        ..written.clone()
    };
    let service = |spec| Object::Service(Service { metadata: usual_metadata("web"), spec, ..Service::default() });
    let objects = [service(written), service(completed), Object::EndpointSlice(usual_slice())];
    serde_json::to_vec(&objects).expect("valid")
}

fn usual_slice() -> EndpointSlice {
    EndpointSlice {
        metadata: usual_metadata("web-1"),
        address_type: "IPv4".to_owned(),
        endpoints: Some(vec![Endpoint {
            addresses: Some(vec!["10.244.0.1".to_owned()]),
            conditions: Some(EndpointConditions { ready: Some(true), ..EndpointConditions::default() }),
            node_name: Some("node-1".to_owned()),
            ..Endpoint::default()
        }]),
        ports: Some(vec![EndpointPort {
            name: Some("http".to_owned()),
            protocol: Some(Protocol::Tcp.name().to_owned()),
            port: Some(8080),
        }]),
    }
}

fn usual_metadata(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), namespace: Some("default".to_owned()), ..ObjectMeta::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an EndpointSlice whose endpoints all differ.
    fn slice(endpoints: u8) -> Object {
        let endpoint = |number| Endpoint {
            addresses: Some(vec![format!("10.200.{}.{number}", number / 3)]),
            conditions: Some(EndpointConditions { ready: Some(number % 2 == 0), ..EndpointConditions::default() }),
            node_name: Some(format!("node-{}", number % 5)),
            ..Endpoint::default()
        };
        Object::EndpointSlice(EndpointSlice {
            metadata: ObjectMeta { name: Some("shop-7f9c".to_owned()), ..ObjectMeta::default() },
            address_type: "IPv4".to_owned(),
            endpoints: Some((0..endpoints).map(endpoint).collect()),
            ports: None,
        })
    }

    #[test]
    fn an_object_is_unpacked_as_it_was() {
        for object in [slice(0), slice(100), Object::Service(Service::default())] {
            let packed = Packed::of(&object);
            assert_eq!(packed.unpack(), object);
            assert_eq!(packed, Packed::of(&object));
        }
        assert_ne!(Packed::of(&slice(1)), Packed::of(&slice(2)));
    }

    #[test]
    fn an_endpoint_takes_few_bytes() {
        let (few, many) = (Packed::of(&slice(10)), Packed::of(&slice(110)));
        assert!((many.size() - few.size()) / 100 < 40, "{}, {}", few.size(), many.size());
    }
}
