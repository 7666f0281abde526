//! Clients of the API server, from a kubeconfig or the pod's service account. Retries and time limits belong to
//! `link.rs`.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::{
    client::{
        legacy::{
            Client as HttpClient,
            connect::{
                Connection, HttpConnector,
                proxy::{SocksV5, Tunnel},
            },
        },
        proxy::matcher::Intercept,
    },
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{net::lookup_host, time::timeout};
use tower::{BoxError, Layer, Service, ServiceExt, util::option_layer};

use super::{
    KubeConfig, KubeError,
    proxy::{self, Environment},
};

/// Installs the one cryptography provider that is compiled in, unless the process has installed one already.
pub(super) fn install_crypto() {
    // It fails only if one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How long the name of the API server may take to resolve.
const RESOLVE: Duration = Duration::from_secs(2);

/// Where the API server is, as far as that is known now: a name may not be resolvable yet.
pub(super) async fn addresses(settings: &KubeConfig) -> BTreeSet<SocketAddr> {
    let Ok((config, _)) = read(settings).await else { return BTreeSet::new() };
    let url = config.cluster_url;
    let port = url.port_u16().unwrap_or(if url.scheme() == Some(&http::uri::Scheme::HTTP) { 80 } else { 443 });
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match timeout(RESOLVE, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.map(|found| SocketAddr::new(found.ip().to_canonical(), found.port())).collect(),
        Ok(Err(_)) | Err(_) => BTreeSet::new(),
    }
}

/// Reads the credentials and makes a client. It sends nothing.
pub(super) async fn client(settings: &KubeConfig) -> Result<Client, KubeError> {
    let (mut config, proxy_url) = read(settings).await?;
    if config.cluster_url.scheme() == Some(&http::uri::Scheme::HTTP) {
        // Plain HTTP needs no trust store, and the machine may have none.
        config.root_cert = Some(Vec::new());
    }
    let proxy = proxy::choose(proxy_url.as_deref(), &Environment::read(), &config.cluster_url)?;
    build(&config, proxy.as_ref(), settings.timing.answer).map_err(|error| KubeError::Client(Box::new(error)))
}

/// The configuration with the URL that was asked for, and the `proxy-url` in it.
async fn read(settings: &KubeConfig) -> Result<(Config, Option<String>), KubeError> {
    let (mut config, proxy_url) = read_as_written(settings).await?;
    if let Some(url) = &settings.api_server {
        let parsed = url.parse().ok().filter(|url: &http::Uri| url.scheme().is_some() && url.host().is_some());
        config.cluster_url = parsed.ok_or_else(|| KubeError::Url { url: url.clone() })?;
    }
    Ok((config, proxy_url))
}

async fn read_as_written(settings: &KubeConfig) -> Result<(Config, Option<String>), KubeError> {
    let Some(path) = &settings.kubeconfig else {
        return Ok((Config::incluster().map_err(KubeError::InCluster)?, None));
    };
    let failed = |source| KubeError::Kubeconfig { path: path.clone(), source };
    let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
    let proxy_url = proxy::of_kubeconfig(&kubeconfig);
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)?;
    Ok((config, proxy_url))
}

/// Assembles the client by hand: kube's own builder logs every failed request as an error, retries by itself, and
/// leaves dead connections open.
fn build(config: &Config, proxy: Option<&Intercept>, answer: Duration) -> Result<Client, kube::Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(answer.min(Duration::from_secs(10))));
    // Keepalive finds a peer that vanished silently after 15 + 3 × 5 s, also where only a watch is open.
    connector.set_keepalive(Some(Duration::from_secs(15)));
    connector.set_keepalive_interval(Some(Duration::from_secs(5)));
    connector.set_keepalive_retries(Some(3));
    let Some(proxy) = proxy else { return connect_by(config, connector) };
    let way = proxy.uri().clone();
    match way.scheme_str() {
        Some("https") => {
            let to_proxy = config.rustls_https_connector_with_connector(connector)?;
            connect_by(config, authorised(Tunnel::new(way, to_proxy), proxy))
        }
        Some("http") => connect_by(config, authorised(Tunnel::new(way, connector), proxy)),
        _ => {
            let socks = SocksV5::new(way, connector);
            let (user, password) = proxy.raw_auth().unwrap_or_default();
            let is_known = !user.is_empty();
            connect_by(config, if is_known { socks.with_auth(user.into(), password.into()) } else { socks })
        }
    }
}

fn authorised<C>(tunnel: Tunnel<C>, proxy: &Intercept) -> Tunnel<C> {
    match proxy.basic_auth() {
        Some(credentials) => tunnel.with_auth(credentials.clone()),
        None => tunnel,
    }
}

/// A client that connects through `connector`.
fn connect_by<C>(config: &Config, connector: C) -> Result<Client, kube::Error>
where
    C: Service<Uri, Error: Into<BoxError>, Future: Send> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin,
{
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let connections = HttpClient::builder(TokioExecutor::new()).build::<_, Body>(connector).map_err(BoxError::from);
    let service = config.extra_headers_layer()?.layer(connections);
    let service = option_layer(config.auth_layer()?).layer(service);
    let service = config.base_uri_layer().layer(service);
    Ok(Client::new(service, config.default_namespace.clone()))
}
