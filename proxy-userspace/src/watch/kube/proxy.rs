//! Chooses the HTTP proxy for the API server as client-go does: the kubeconfig's `proxy-url`, or else `HTTPS_PROXY` or
//! `HTTP_PROXY`, unless `NO_PROXY` names the server. Pure, except for reading the environment.

use std::{env, net::IpAddr};

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use kube::config::Kubeconfig;

use super::KubeError;

/// The proxy variables of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    http: String,
    https: String,
    no: String,
}

impl Environment {
    /// Reads the process's environment, where names in lower case count, too.
    pub(super) fn read() -> Self {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let either = |name: &str| variable(name).or_else(|| variable(&name.to_lowercase())).unwrap_or_default();
        Self { http: either("HTTP_PROXY"), https: either("HTTPS_PROXY"), no: either("NO_PROXY") }
    }
}

/// Returns the `proxy-url` of the cluster in the kubeconfig's current context.
pub(super) fn of_kubeconfig(kubeconfig: &Kubeconfig) -> Option<String> {
    let context = kubeconfig.contexts.iter().find(|named| Some(&named.name) == kubeconfig.current_context.as_ref())?;
    let cluster = &context.context.as_ref()?.cluster;
    let named = kubeconfig.clusters.iter().find(|named| named.name == *cluster)?;
    named.cluster.as_ref()?.proxy_url.clone().filter(|url| !url.is_empty())
}

/// Returns the proxy to use for `server`; `None` means a direct connection. Fails if `proxy_url` can't be used.
pub(super) fn choose(
    proxy_url: Option<&str>,
    environment: &Environment,
    server: &Uri,
) -> Result<Option<Intercept>, KubeError> {
    if let Some(url) = proxy_url {
        let proxy = Matcher::builder().all(url.to_owned()).build().intercept(server);
        return proxy.map(Some).ok_or_else(|| KubeError::Proxy { url: url.to_owned() });
    }
    if server.host().is_none_or(is_this_machine) {
        return Ok(None);
    }
    let Environment { http, https, no } = environment.clone();
    Ok(Matcher::builder().http(http).https(https).no(no).build().intercept(server))
}

/// True if `host` is loopback: the environment's proxies are never used for it.
fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(proxy_url: Option<&str>, no: &str, server: &str) -> Option<String> {
        let environment =
            Environment { http: "http://plain:3128".into(), https: "http://u:p@secure:3128".into(), no: no.into() };
        let found = choose(proxy_url, &environment, &server.parse().unwrap()).unwrap();
        found.map(|proxy| format!("{} {}", proxy.uri(), proxy.basic_auth().is_some()))
    }

    #[test]
    fn field_s09_the_environments_proxy_is_used_unless_no_proxy_names_the_server() {
        let secure = Some("http://secure:3128/ true".to_owned());
        assert_eq!(chosen(None, "", "https://api.example.com:6443"), secure);
        assert_eq!(chosen(None, "", "http://api.example.com"), Some("http://plain:3128/ false".into()));
        for no in ["*", "example.com", ".example.com", "other,api.example.com"] {
            assert_eq!(chosen(None, no, "https://api.example.com:6443"), None, "{no}");
        }
        assert_eq!(chosen(None, "10.0.0.0/8", "https://10.1.2.3:6443"), None);
        assert_eq!(chosen(None, "10.0.0.0/8", "https://192.0.2.1:6443"), secure);
        for server in ["https://localhost:6443", "https://127.0.0.1:6443", "https://[::1]:6443"] {
            assert_eq!(chosen(None, "", server), None, "{server}");
        }
        let none = choose(None, &Environment::default(), &"https://192.0.2.1".parse().unwrap());
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn field_s09_the_kubeconfigs_proxy_comes_first() {
        let own = Some("http://192.0.2.10:3128");
        for server in ["https://api.example.com:6443", "https://127.0.0.1:6443"] {
            assert_eq!(chosen(own, "*", server), Some("http://192.0.2.10:3128/ false".into()), "{server}");
        }
        let server = "https://192.0.2.1".parse().unwrap();
        let refused = choose(Some("ftp://192.0.2.10"), &Environment::default(), &server);
        assert!(matches!(refused, Err(KubeError::Proxy { .. })));
        let text = r#"{"current-context": "b", "contexts": [{"name": "a", "context": {"cluster": "x", "user": ""}},
            {"name": "b", "context": {"cluster": "y", "user": ""}}], "clusters": [{"name": "x", "cluster": {}},
            {"name": "y", "cluster": {"proxy-url": "http://192.0.2.10:3128"}}]}"#;
        assert_eq!(of_kubeconfig(&serde_json::from_str(text).unwrap()).as_deref(), own);
    }
}
