//! Where the agent's own ports listen.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// The port of `/healthz` and `/livez` by default, as in kube-proxy.
pub const HEALTH_PORT: u16 = 10256;
/// The port of `/metrics` and `/status` by default, as in kube-proxy.
pub const METRICS_PORT: u16 = 10249;
/// The port of the page by default: free in Kubernetes, beside that of the metrics.
pub const PAGE_PORT: u16 = 10247;

/// Addresses that the agent's own ports listen on; `None` turns a port off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddresses {
    /// `/healthz` and `/livez`.
    pub health: Option<SocketAddr>,
    /// `/metrics`.
    pub metrics: Option<SocketAddr>,
    /// The page.
    pub page: Option<SocketAddr>,
    /// Whether an address for health or metrics that can't be bound ends the agent.
    pub hard_fail: bool,
}

/// Address and port in the forms that kube-proxy takes: `IP`, `IP:PORT`, `[IP]:PORT`, `PORT` or `:PORT`. An empty text or port 0
/// turns the port off. [`BindAddress::or`] fills in what the text leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindAddress {
    ip: Option<IpAddr>,
    port: Option<u16>,
}

impl BindAddress {
    /// This address with another port.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// Returns the address to listen on, with what the text leaves out taken from `default`; `None` if the port is turned off.
    /// The unspecified address of either family becomes [`EVERYWHERE`], as in Go's `net.Listen` and so in kube-proxy.
    pub fn or(self, default: SocketAddr) -> Option<SocketAddr> {
        let port = self.port.unwrap_or(default.port());
        let ip = self.ip.unwrap_or(default.ip());
        (port != 0).then(|| SocketAddr::new(if ip.is_unspecified() { EVERYWHERE } else { ip }, port))
    }
}

/// Listens on every address of both families, or of IPv4 alone where the kernel has no IPv6.
pub const EVERYWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

impl BindAddresses {
    /// Returns the addresses that the agent listens on.
    pub fn all(&self) -> impl Iterator<Item = SocketAddr> {
        [self.health, self.metrics, self.page].into_iter().flatten()
    }
}

impl FromStr for BindAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = |ip: &str| ip.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let wrong = || format!("{text:?} is not IP, IP:PORT or PORT, for example 127.0.0.1:10249 or [::]:10249");
        if text.is_empty() {
            return Ok(Self { ip: None, port: Some(0) });
        }
        if let Ok(ip) = bare(text) {
            return Ok(Self { ip: Some(ip), port: None });
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { ip: Some(address.ip()), port: Some(address.port()) });
        }
        let port = text.strip_prefix(':').unwrap_or(text).parse().map_err(|_| wrong())?;
        Ok(Self { ip: None, port: Some(port) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n09_every_form_of_an_address_is_understood() {
        let default = SocketAddr::new(EVERYWHERE, 10249);
        let forms = [
            ("0.0.0.0", Some("[::]:10249")),
            ("0.0.0.0:9", Some("[::]:9")),
            ("[::]:10249", Some("[::]:10249")),
            ("::", Some("[::]:10249")),
            ("[::1]", Some("[::1]:10249")),
            ("10250", Some("[::]:10250")),
            (":10250", Some("[::]:10250")),
            ("127.0.0.1:0", None),
            ("0", None),
            ("", None),
        ];
        for (text, address) in forms {
            let parsed = text.parse::<BindAddress>().map(|bind| bind.or(default));
            assert_eq!(parsed, Ok(address.map(|address| address.parse().unwrap())), "{text:?}");
        }
        for bad in ["localhost:1", "1.2.3:4", "[::]:70000", "-1", "::1:x"] {
            let error = bad.parse::<BindAddress>().unwrap_err();
            assert!(error.starts_with(&format!("{bad:?} is not IP")), "{error}");
        }
    }
}
