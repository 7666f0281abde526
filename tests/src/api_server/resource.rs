//! The resources that the server knows and the paths where it serves them. It must not know of objects.

/// A kind of object and where it is served.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// `Service`.
    pub kind: &'static str,
    /// `services`.
    pub plural: &'static str,
    /// API group; empty for the core.
    pub group: &'static str,
    /// `v1` or `discovery.k8s.io/v1`.
    pub api_version: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// All resources that are served.
pub const RESOURCES: [Resource; 4] = [
    Resource { kind: "Service", plural: "services", group: "", api_version: "v1", namespaced: true },
    Resource {
        kind: "EndpointSlice",
        plural: "endpointslices",
        group: "discovery.k8s.io",
        api_version: "discovery.k8s.io/v1",
        namespaced: true,
    },
    Resource { kind: "Node", plural: "nodes", group: "", api_version: "v1", namespaced: false },
    Resource {
        kind: "ServiceCIDR",
        plural: "servicecidrs",
        group: "networking.k8s.io",
        api_version: "networking.k8s.io/v1",
        namespaced: false,
    },
];

/// The target of a path: a resource in one namespace, or in all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) resource: &'static Resource,
    pub(super) namespace: Option<String>,
}

/// The resource of this kind, such as `Service`.
pub(super) fn by_kind(kind: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.kind == kind)
}

/// The resource with this plural name, such as `services`.
pub(super) fn by_plural(plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.plural == plural)
}

impl Target {
    /// Reads a collection's path. `None` for every path that the server does not serve.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (api_version, rest) = if let Some(rest) = path.strip_prefix("/api/v1/") {
            ("v1", rest)
        } else {
            let path = path.strip_prefix("/apis/")?;
            let (group_version_end, _) = path.match_indices('/').nth(1)?;
            (&path[..group_version_end], &path[group_version_end + 1..])
        };
        let (namespace, plural) = match rest.strip_prefix("namespaces/") {
            Some(rest) => rest.split_once('/').map(|(namespace, plural)| (Some(namespace), plural))?,
            None => (None, rest),
        };
        let resource = by_plural(plural).filter(|resource| resource.api_version == api_version)?;
        if namespace.is_some() && !resource.namespaced {
            return None;
        }
        Some(Self { resource, namespace: namespace.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources_where_the_api_has_them() {
        let parsed = |path| Target::parse(path).map(|target| (target.resource.kind, target.namespace));
        assert_eq!(parsed("/api/v1/services"), Some(("Service", None)));
        assert_eq!(parsed("/api/v1/namespaces/shop/services"), Some(("Service", Some("shop".to_owned()))));
        assert_eq!(parsed("/apis/discovery.k8s.io/v1/endpointslices"), Some(("EndpointSlice", None)));
        assert_eq!(parsed("/apis/networking.k8s.io/v1/servicecidrs"), Some(("ServiceCIDR", None)));
        for path in ["/api/v1/namespaces/shop/nodes", "/api/v1/endpointslices", "/apis/v1/services", "/api/v1", "/"] {
            assert_eq!(parsed(path), None, "{path}");
        }
    }
}
