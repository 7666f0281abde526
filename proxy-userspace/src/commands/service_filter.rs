//! Services that a command line asks for by names and namespace. Pure.

/// A Service that is asked for isn't there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("find Service {0}: it is not in force; `waggle get services` lists those that are")]
pub struct UnknownService(String);

/// A Service is asked for in another namespace than its own.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "find Service {service} in namespace {namespace:?}: it would be in another one; leave out --namespace, or give the name alone"
)]
pub struct OtherNamespace {
    service: String,
    namespace: String,
}

/// The Services that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFilter {
    namespace: Option<String>,
    /// Every Service of the namespace if there are none.
    named: Vec<Named>,
}

/// A Service's name, with its namespace if that is given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    namespace: Option<String>,
    name: String,
}

impl ServiceFilter {
    /// Returns the filter of a command line: NAME, svc/NAME or NAMESPACE/NAME of each Service, and the namespace of all. Without a
    /// namespace, a NAME is that of a Service in every namespace. `None` if every Service is asked for.
    pub fn new(services: &[String], namespace: Option<&str>) -> Result<Option<Self>, OtherNamespace> {
        let is_asked = namespace.is_some() || !services.is_empty();
        let named: Vec<Named> = services.iter().map(|text| Named::parse(text)).collect();
        let is_elsewhere = |asked: &Named| asked.namespace.as_deref().zip(namespace).is_some_and(|(a, b)| a != b);
        if let Some((namespace, at)) = namespace.zip(named.iter().position(is_elsewhere)) {
            return Err(OtherNamespace { service: services[at].clone(), namespace: namespace.to_owned() });
        }
        Ok(is_asked.then(|| Self { namespace: namespace.map(str::to_owned), named }))
    }

    /// Whether a Service is asked for.
    pub fn wants(&self, namespace: &str, name: &str) -> bool {
        let is_meant = |asked| self.means(asked, namespace, name);
        (self.named.is_empty() && self.is_in_namespace(namespace)) || self.named.iter().any(is_meant)
    }

    /// Checks that every Service that is asked for by its name is among those that exist, each a namespace and a name. The error
    /// has the first that is not.
    pub fn check(&self, existing: &[(&str, &str)]) -> Result<(), UnknownService> {
        let is_there = |asked: &Named| existing.iter().any(|(namespace, name)| self.means(asked, namespace, name));
        let Some(Named { namespace, name }) = self.named.iter().find(|asked| !is_there(asked)) else { return Ok(()) };
        let namespace = namespace.as_ref().or(self.namespace.as_ref());
        let missing = namespace.map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
        Err(UnknownService(missing))
    }

    fn means(&self, asked: &Named, namespace: &str, name: &str) -> bool {
        let is_in = match &asked.namespace {
            Some(asked) => asked == namespace,
            None => self.is_in_namespace(namespace),
        };
        is_in && asked.name == name
    }

    fn is_in_namespace(&self, namespace: &str) -> bool {
        self.namespace.as_ref().is_none_or(|asked| asked == namespace)
    }
}

impl Named {
    /// Reads NAME, svc/NAME or NAMESPACE/NAME.
    fn parse(text: &str) -> Self {
        let (namespace, name) = match text.split_once('/') {
            Some(("svc" | "service" | "services", name)) => (None, name),
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, text),
        };
        Self { namespace, name: name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(services: &[&str], namespace: Option<&str>) -> Option<ServiceFilter> {
        let services: Vec<_> = services.iter().map(|text| (*text).to_owned()).collect();
        ServiceFilter::new(&services, namespace).unwrap()
    }

    fn wants(services: &[&str], of: Option<&str>, namespace: &str, name: &str) -> bool {
        filter(services, of).unwrap().wants(namespace, name)
    }

    #[test]
    fn services_are_meant_by_their_names() {
        assert_eq!(filter(&[], None), None, "every Service");
        for (services, of) in [
            (&["web"][..], None),
            (&["svc/web"], None),
            (&["service/web"], None),
            (&["shop/web"], None),
            (&["web"], Some("shop")),
            (&["db", "web"], None),
        ] {
            let wants = |name| wants(services, of, "shop", name);
            assert!(wants("web") && !wants("api"), "{services:?} {of:?}");
        }
        assert!(wants(&["web"], None, "other", "web"));
        assert!(!wants(&["shop/web"], None, "other", "web") && !wants(&["web"], Some("shop"), "other", "web"));
        assert!(wants(&[], Some("shop"), "shop", "any") && !wants(&[], Some("shop"), "other", "any"));
    }

    #[test]
    fn the_first_name_that_is_not_there_is_an_error() {
        let check = |services: &[&str], of| filter(services, of).unwrap().check(&[("shop", "web")]);
        assert_eq!(check(&["web"], None), Ok(()));
        assert_eq!(check(&[], Some("other")), Ok(()), "a namespace may be empty");
        let missing = |services: &[&str], of| check(services, of).unwrap_err().0;
        assert_eq!(missing(&["web", "db", "api"], None), "db");
        assert_eq!(missing(&["web"], Some("other")), "other/web");
        assert_eq!(missing(&["svc/db"], Some("shop")), "shop/db");
        assert_eq!(missing(&["a/web"], None), "a/web");
    }

    #[test]
    fn a_service_can_not_be_in_two_namespaces() {
        let refused = ServiceFilter::new(&["web".to_owned(), "shop/cart".to_owned()], Some("other")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "find Service shop/cart in namespace \"other\": it would be in another one; leave out --namespace, or give the name alone"
        );
        assert!(wants(&["shop/cart"], Some("shop"), "shop", "cart"));
    }
}
