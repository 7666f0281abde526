//! Makes clients of the API server from a kubeconfig or the pod's service account. Retries and time limits are in
//! `link.rs`.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};

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
    KubeConfig, KubeError, credentials, kubeconfig,
    proxy::{self, Environment},
};

/// Installs the compiled-in cryptography provider, unless the process has installed one already.
pub(super) fn install_crypto() {
    // It fails only if one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How long the name of the API server may take to resolve.
const RESOLVE: Duration = Duration::from_secs(2);

/// The address and credentials of the API server, before it is contacted.
pub(super) struct Access {
    pub(super) config: Config,
    /// The `proxy-url`.
    proxy_url: Option<String>,
    /// The owner of the credentials, in words for errors.
    owner: String,
}

/// Why no client can be made with these credentials.
enum BuildError {
    /// The named value can't be in an HTTP header.
    Header(String),
    Other(kube::Error),
}

impl From<kube::Error> for BuildError {
    fn from(error: kube::Error) -> Self {
        Self::Other(error)
    }
}

/// Returns the addresses of the API server; none if its name can't be resolved yet.
pub(super) async fn addresses(settings: &KubeConfig) -> BTreeSet<SocketAddr> {
    let Ok(Access { config, .. }) = read(settings).await else { return BTreeSet::new() };
    match timeout(RESOLVE, lookup_host(host(&config.cluster_url))).await {
        Ok(Ok(found)) => found.map(|found| SocketAddr::new(found.ip().to_canonical(), found.port())).collect(),
        Ok(Err(_)) | Err(_) => BTreeSet::new(),
    }
}

/// Returns the host and the port of a URL.
pub(super) fn host(url: &Uri) -> (&str, u16) {
    let port = url.port_u16().unwrap_or(if url.scheme() == Some(&http::uri::Scheme::HTTP) { 80 } else { 443 });
    (url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']'), port)
}

/// Reads the credentials and makes a client. Sends nothing.
pub(super) async fn client(settings: &KubeConfig) -> Result<Client, KubeError> {
    connect(read(settings).await?, settings.timing.response_timeout)
}

/// Makes a client with these credentials.
pub(super) fn connect(access: Access, response_timeout: Duration) -> Result<Client, KubeError> {
    let Access { mut config, proxy_url, owner } = access;
    if config.cluster_url.scheme() == Some(&http::uri::Scheme::HTTP) {
        // Plain HTTP needs no trust store, and the machine may have none.
        config.root_cert = Some(Vec::new());
    }
    credentials::trim_token(&mut config.auth_info);
    if let Some(field) = credentials::unusable(&config.auth_info) {
        return Err(KubeError::Header { field, owner });
    }
    let proxy = proxy::choose(proxy_url.as_deref(), &Environment::read(), &config.cluster_url)?;
    build(&config, proxy.as_ref(), response_timeout).map_err(|fault| match fault {
        BuildError::Header(field) => KubeError::Header { field, owner },
        BuildError::Other(source) => KubeError::Client { owner, source: Box::new(source) },
    })
}

/// Reads the configuration, with the URL in `settings` if it has one.
async fn read(settings: &KubeConfig) -> Result<Access, KubeError> {
    at(read_as_written(settings).await?, settings.api_server.clone())
}

/// Sets this URL, or keeps the configuration's own. Fails if the URL can't be used.
pub(super) fn at(mut access: Access, url: Option<String>) -> Result<Access, KubeError> {
    let url = url.unwrap_or_else(|| access.config.cluster_url.to_string());
    // kube panics at the first request if the URL has no scheme.
    let parsed = url.parse().ok().filter(|url: &Uri| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
    });
    access.config.cluster_url = parsed.ok_or(KubeError::Url { url })?;
    Ok(access)
}

async fn read_as_written(settings: &KubeConfig) -> Result<Access, KubeError> {
    let Some(path) = &settings.kubeconfig else {
        let config = Config::incluster().map_err(KubeError::InCluster)?;
        return Ok(Access { config, proxy_url: None, owner: "the pod's service account".to_owned() });
    };
    let kubeconfig = kubeconfig::read(path).map_err(|source| KubeError::Kubeconfig { path: path.clone(), source })?;
    of_kubeconfig(kubeconfig, path).await
}

/// Returns the access that the kubeconfig, which was read from `path`, describes.
pub(super) async fn of_kubeconfig(kubeconfig: Kubeconfig, path: &Path) -> Result<Access, KubeError> {
    let failed = |source| KubeError::Kubeconfig { path: path.to_owned(), source };
    let proxy_url = proxy::of_kubeconfig(&kubeconfig);
    let context = kubeconfig.contexts.iter().find(|named| Some(&named.name) == kubeconfig.current_context.as_ref());
    let user = context.and_then(|named| named.context.as_ref()?.user.clone()).unwrap_or_default();
    let owner = format!("the user {user:?} in the kubeconfig {}", path.display());
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)?;
    Ok(Access { config, proxy_url, owner })
}

/// Assembles the client by hand: the client of kube's own builder logs every failed request as an error, retries by itself,
/// and leaves dead connections open.
fn build(config: &Config, proxy: Option<&Intercept>, response_timeout: Duration) -> Result<Client, BuildError> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(response_timeout.min(Duration::from_secs(10))));
    // Keepalive detects a dead peer after 15 + 3 × 5 s, even if only a watch is open.
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

/// Makes a client that connects through `connector`.
fn connect_by<C>(config: &Config, connector: C) -> Result<Client, BuildError>
where
    C: Service<Uri, Error: Into<BoxError>, Future: Send> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin,
{
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let connections = HttpClient::builder(TokioExecutor::new()).build::<_, Body>(connector).map_err(BoxError::from);
    let service = config.extra_headers_layer()?.layer(connections);
    // kube runs the command for credentials here, and panics if it prints a token that can't be in a header.
    let layer = catch_unwind(AssertUnwindSafe(|| config.auth_layer()));
    let layer = layer.map_err(|_| BuildError::Header("token that its command prints".to_owned()))??;
    let service = option_layer(layer).layer(service);
    let service = config.base_uri_layer().layer(service);
    Ok(Client::new(service, config.default_namespace.clone()))
}
