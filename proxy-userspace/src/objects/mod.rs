//! The Kubernetes objects, reduced to the fields that the agent uses. Other fields are not decoded and cost no memory.
//! Fields mean what the Kubernetes API reference says.

/// Implements kube's `Resource` for a partial type.
macro_rules! resource {
    ($type:ident, $kind:literal, $group:literal, $version:literal, $plural:literal, $scope:ty) => {
        impl kube::Resource for $type {
            type DynamicType = ();
            type Scope = $scope;

            fn kind(&(): &()) -> std::borrow::Cow<'_, str> {
                $kind.into()
            }

            fn group(&(): &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }

            fn version(&(): &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }

            fn plural(&(): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

pub(crate) mod address;
mod api_event;
mod endpoint_slice;
mod event;
mod local_addresses;
pub(crate) mod name;
mod node;
mod pod;
mod service;
mod service_cidr;

pub use self::{
    endpoint_slice::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, Hint},
    node::{DaemonEndpoint, Node, NodeAddress, NodeDaemonEndpoints, NodeSpec, NodeStatus, Taint},
    pod::{Container, ContainerPort, Pod, PodCondition, PodIp, PodSpec, PodStatus},
    service::{
        ClientIpConfig, LoadBalancerIngress, LoadBalancerStatus, Service, ServicePort, ServiceSpec, ServiceStatus,
        SessionAffinityConfig,
    },
    service_cidr::{ServiceCidr, ServiceCidrSpec},
};
pub(crate) use self::{
    endpoint_slice::{HEADLESS_LABEL, TRIGGER_TIME},
    service::PROXY_NAME_LABEL,
};
pub use api_event::{ApiEvent, Reason, Severity};
pub use event::{Event, Kind, Object, ObjectRef};
pub use local_addresses::LocalAddresses;
