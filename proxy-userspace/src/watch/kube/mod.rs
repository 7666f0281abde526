//! The API server as a source: Services, EndpointSlices, this node's Node object and ServiceCIDRs, filtered by the server.
//! Retries for ever, deletes nothing while the server is away, and stores only names.

mod backoff;
mod client;
mod credentials;
mod event_writer;
mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod known;
mod kubeconfig;
mod link;
mod partial;
mod proxy;
mod query;
mod refusal;
mod remedy;
mod response;
mod revisions;
mod unreadable;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Once},
    time::Duration,
};

use kube::config::{InClusterError, KubeconfigError};
use thiserror::Error;
use tokio::{sync::mpsc, task::JoinSet};

use self::{follow::Follow, link::Link};
use super::{
    Source,
    contact::Contact,
    selectors::{ENDPOINT_SLICES, SERVICES},
};
use crate::objects::{ApiEvent, Event, Kind, Object};

/// Log directives that silence the kube crates' log line for every retry: this source logs outages itself.
pub const LOG_DIRECTIVES: [&str; 2] = ["kube_client=error", "kube_runtime=error"];

/// Which API server to follow, and for which node.
#[derive(Clone, Debug, Default)]
pub struct KubeConfig {
    /// The file with credentials and address; `None` uses the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Replaces the server's URL: the agent can't reach the API server through a Service that the agent itself serves.
    pub api_server: Option<String>,
    /// The name of the node whose object is followed.
    pub node_name: String,
    /// Time limits and pauses.
    pub timing: Timing,
    /// Where the source records its contact with the server.
    pub contact: Contact,
}

/// Time limits of requests to the API server, and pauses between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The pause before the first retry; it doubles with each further one.
    pub first_retry: Duration,
    /// The longest pause between retries.
    pub longest_retry: Duration,
    /// After this time without a failure, pauses start with the first one again. It must be longer than `response_timeout`.
    pub settled: Duration,
    /// How long the server may take to begin a response, or to send the next bytes of a list.
    pub response_timeout: Duration,
    /// How long the server should keep a watch open; whole seconds count. Jitter shortens it by up to a quarter.
    pub watch: Duration,
    /// How much longer than requested a watch may stay open before its connection counts as dead.
    pub watch_grace: Duration,
    /// How long to wait before trying again a resource that the cluster does not have or show.
    pub absent: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_retry: Duration::from_millis(100),
            longest_retry: Duration::from_secs(30),
            settled: Duration::from_secs(45),
            response_timeout: Duration::from_secs(30),
            watch: Duration::from_mins(4),
            watch_grace: Duration::from_secs(5),
            absent: Duration::from_mins(3),
        }
    }
}

/// Why the API server can't be followed at all. A server that can't be reached is not an error: the source retries.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each variant's message says it")]
pub enum KubeError {
    #[error("the node's name is empty: give --node-name")]
    NodeName,
    #[error("read kubeconfig {} (check the file and its current-context)", path.display())]
    Kubeconfig { path: PathBuf, source: KubeconfigError },
    #[error("read the pod's service account (outside a pod give --kubeconfig or --manifests)")]
    InCluster(#[source] InClusterError),
    #[error("read the API server's URL {url:?}: write it as https://HOST:PORT")]
    Url { url: String },
    #[error("use the proxy of the API server {url:?}: write it as http://HOST:PORT, https:// or socks5://")]
    Proxy { url: String },
    #[error(
        "use the {field} of {owner}: it has a character that can't be in an HTTP header, perhaps a line break at its end; \
         remove it"
    )]
    Header { field: String, owner: String },
    #[error("set up the connection to the API server (check certificates and credentials of {owner})")]
    Client { owner: String, source: Box<kube::Error> },
}

/// The API server as a source of objects.
#[derive(Debug)]
pub struct Kube {
    link: Arc<Link>,
    node_name: String,
}

impl Kube {
    /// Reads the credentials. Does not contact the server. Fails if they can't be used.
    pub async fn connect(config: KubeConfig) -> Result<Self, KubeError> {
        static CRYPTO: Once = Once::new();
        if config.node_name.is_empty() {
            return Err(KubeError::NodeName);
        }
        CRYPTO.call_once(client::install_crypto);
        let node_name = config.node_name.clone();
        Ok(Self { link: Arc::new(Link::new(config).await?), node_name })
    }

    /// Writes Events about objects until all senders are dropped.
    pub fn write_events(&self, events: mpsc::Receiver<ApiEvent>) -> impl Future<Output = ()> + Send + use<> {
        event_writer::write_events(Arc::clone(&self.link), self.node_name.clone(), events)
    }

    /// Returns the addresses of the API server; none if its name can't be resolved yet.
    pub async fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.link.addresses().await
    }
}

impl Source for Kube {
    async fn run(self, events: mpsc::Sender<Event>) -> anyhow::Result<()> {
        let follow = |kind, labels: &str, fields: &str| Follow {
            kind,
            labels: labels.to_owned(),
            fields: fields.to_owned(),
            link: Arc::clone(&self.link),
            events: events.clone(),
        };
        let this_node = format!("metadata.name={}", self.node_name);
        let mut kinds = JoinSet::new();
        kinds.spawn(follow(Kind::Service, SERVICES, "").run(Object::Service));
        kinds.spawn(follow(Kind::EndpointSlice, ENDPOINT_SLICES, "").run(Object::EndpointSlice));
        kinds.spawn(follow(Kind::Node, "", &this_node).run(Object::Node));
        kinds.spawn(follow(Kind::ServiceCidr, "", "").run(Object::ServiceCidr));
        tokio::select! {
            () = events.closed() => Ok(()),
            // A task ends only if it panics, or when the receiver is gone.
            Some(ended) = kinds.join_next() => Ok(ended?),
        }
    }
}
