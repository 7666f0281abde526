//! Which requests are answered. Another web page in the user's browser must not read this one: by a name that it makes
//! lead here (DNS rebinding), or by a request across sites. Pure.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::Refusal;

/// The header by which browsers say whose page makes a request (Fetch Metadata).
const SITE: &str = "sec-fetch-site";

/// What requests are compared with.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// The page is served on loopback only.
    pub(super) is_local: bool,
    /// The name of the node.
    pub(super) node_name: String,
}

impl Guard {
    /// Checks a request. `is_document` is false for files, which say nothing about the node: links from elsewhere may lead to them.
    pub(super) fn check(&self, method: &Method, headers: &HeaderMap, is_document: bool) -> Result<(), Refusal> {
        if ![Method::GET, Method::HEAD].contains(method) {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "this page only reads: GET and HEAD are allowed".to_owned());
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.is_known(name_of(host)) {
            return refuse(
                StatusCode::FORBIDDEN,
                format!(
                    "this page is not {host:?}: ask for it by {}",
                    if self.is_local { "localhost or 127.0.0.1" } else { "an address, or by the node's name" }
                ),
            );
        }
        let site = headers.get(SITE).map(HeaderValue::as_bytes);
        if is_document && !matches!(site, None | Some(b"same-origin" | b"none")) {
            return refuse(StatusCode::FORBIDDEN, "only this page may read its documents".to_owned());
        }
        Ok(())
    }

    /// Whether a host may be this page. An address can't be made to lead elsewhere, and "localhost" never leaves the machine.
    fn is_known(&self, name: &str) -> bool {
        match name.parse::<IpAddr>() {
            Ok(address) => !self.is_local || address.to_canonical().is_loopback(),
            Err(_) => {
                name.eq_ignore_ascii_case("localhost") || !self.is_local && name.eq_ignore_ascii_case(&self.node_name)
            }
        }
    }
}

fn refuse(code: StatusCode, text: String) -> Result<(), Refusal> {
    Err(Refusal { code, text })
}

/// Returns the name or address of a `Host` header, without port and brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(is_local: bool, host: &str) -> Option<StatusCode> {
        let guard = Guard { is_local, node_name: "node-1".to_owned() };
        let headers = [(header::HOST, HeaderValue::from_str(host).unwrap())].into_iter().collect();
        guard.check(&Method::GET, &headers, true).err().map(|refusal| refusal.code)
    }

    #[test]
    fn on_loopback_only_names_of_loopback_are_answered() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:10247", "127.1.2.3", "[::1]:10247", "[::ffff:127.0.0.1]"]
        {
            assert_eq!(check(true, host), None, "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example:10247", "192.0.2.1", "node-1", "127.0.0.1.evil.example"]
        {
            assert_eq!(check(true, host), Some(StatusCode::FORBIDDEN), "{host:?}");
        }
    }

    #[test]
    fn elsewhere_addresses_and_the_nodes_name_are_answered() {
        for host in ["192.0.2.1:10247", "[2001:db8::1]:80", "Node-1:10247", "localhost:1"] {
            assert_eq!(check(false, host), None, "{host}");
        }
        assert_eq!(check(false, "evil.example:10247"), Some(StatusCode::FORBIDDEN));
    }

    #[test]
    fn other_methods_and_other_sites_are_refused() {
        let guard = Guard { is_local: true, node_name: String::new() };
        let from = |site: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("localhost"));
            headers.extend(site.map(|site| (http::HeaderName::from_static(SITE), HeaderValue::from_static(site))));
            headers
        };
        let code = |method, site, is_document| {
            guard.check(&method, &from(site), is_document).err().map(|refusal| refusal.code.as_u16())
        };
        assert_eq!([Method::GET, Method::HEAD].map(|method| code(method, None, true)), [None; 2]);
        assert_eq!([Method::POST, Method::DELETE].map(|method| code(method, None, true)), [Some(405); 2]);
        assert_eq!(["same-origin", "none"].map(|site| code(Method::GET, Some(site), true)), [None; 2]);
        assert_eq!(["cross-site", "same-site"].map(|site| code(Method::GET, Some(site), true)), [Some(403); 2]);
        assert_eq!(code(Method::GET, Some("cross-site"), false), None, "a link may lead here");
    }
}
