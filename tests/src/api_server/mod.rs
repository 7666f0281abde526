//! A small Kubernetes API server for tests: lists and watches of the kinds that the agent follows, as strict as the
//! real one or stricter, with faults on demand. It runs on its own thread; HTTP/1.1 with or without TLS, no
//! writes over HTTP but Events.

mod answer;
mod body;
mod events;
mod faults;
mod list;
mod query;
mod resource;
mod selector;
mod serve;
mod shared;
mod status;
mod store;
mod tls;
mod watch;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use self::{
    faults::Lists,
    serve::{Order, Thread},
    shared::Shared,
    store::Store,
    tls::Certificate,
};
pub use self::{
    faults::Slow,
    resource::{RESOURCES, Resource},
    shared::Request,
};

/// How many changes a new server remembers for watches that resume.
pub const HISTORY: usize = 10_000;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// None: it speaks plain HTTP.
    certificate: Option<Certificate>,
    thread: Thread,
}

impl ApiServer {
    /// Starts on a free port of loopback, with plain HTTP.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Self::serve(listener, address, None)
    }

    /// Starts on a free port of loopback, with TLS as in clusters.
    pub fn start_tls() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let tls = Certificate::make(address)?;
        Self::serve(listener, address, Some(tls))
    }

    /// Serves in the network namespace of the calling thread, which must be the listener's.
    fn serve(listener: TcpListener, address: SocketAddr, tls: Option<(Certificate, TlsAcceptor)>) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(Store::new(HISTORY)));
        let router = Router::new().fallback(answer::answer).with_state(Arc::clone(&shared));
        let (certificate, acceptor) = tls.unzip();
        Ok(Self { shared, address, certificate, thread: Thread::start(listener, router, acceptor)? })
    }

    /// The address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's URL.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Its certificate as PEM, which is its own authority; none if it speaks plain HTTP.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_ref().map(|certificate| certificate.pem.as_str())
    }

    /// A connection by TLS, for a client of any kind.
    pub fn connect(&self) -> io::Result<impl io::Read + io::Write> {
        let certificate = self.certificate.as_ref().ok_or_else(|| io::Error::other("the server speaks plain HTTP"))?;
        certificate.connect(self.address)
    }

    /// Writes a kubeconfig with the current token into a folder.
    pub fn kubeconfig(&self, folder: &Path) -> io::Result<PathBuf> {
        let user = match &self.shared.state().token {
            Some(token) => json!({"token": token}),
            None => json!({}),
        };
        let mut cluster = json!({"server": self.url()});
        if let Some(certificate) = &self.certificate {
            let file = folder.join("ca.crt");
            std::fs::write(&file, &certificate.pem)?;
            cluster["certificate-authority"] = json!(file);
        }
        // JSON is YAML.
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        });
        let path = folder.join("kubeconfig");
        // Renamed into place, so that no reader sees half a file.
        let partial = folder.join(".kubeconfig.partial");
        std::fs::write(&partial, content.to_string())?;
        std::fs::rename(partial, &path)?;
        Ok(path)
    }

    /// Creates or replaces an object and returns it as stored: uid, resourceVersion, generation and
    /// creationTimestamp are the server's. A namespaced object without a namespace goes to `default`.
    ///
    /// # Panics
    /// If the object's kind, version or name is not what the server can store.
    #[track_caller]
    pub fn put(&self, object: Value) -> Value {
        match self.shared.change(|state| state.store.put(object)) {
            Ok(stored) => stored,
            Err(error) => panic!("put an object: {error}"),
        }
    }

    /// Deletes an object; false if there was none. The namespace of a cluster-scoped one is empty.
    ///
    /// # Panics
    /// If no such kind is served.
    #[track_caller]
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let Some(resource) = resource::by_kind(kind) else { panic!("delete an object: no kind {kind} is served") };
        self.shared.change(|state| state.store.delete(resource, (namespace.to_owned(), name.to_owned())))
    }

    /// The Events that clients have written.
    pub fn events(&self) -> Vec<Value> {
        self.shared.state().events.clone()
    }

    /// Requires this bearer token from now on; `None` requires none.
    pub fn set_token(&self, token: Option<&str>) {
        self.shared.change(|state| state.token = token.map(str::to_owned));
    }

    /// Remembers only this many changes from now on; older ones are forgotten.
    pub fn set_history(&self, changes: usize) {
        self.shared.change(|state| state.store.window = changes);
    }

    /// Forgets all history: watches and pages from any older version are expired.
    pub fn compact(&self) {
        self.shared.change(|state| state.store.compact());
    }

    /// Forgets everything and counts versions from the beginning, as a store that is restored from an old backup.
    pub fn restore(&self) {
        self.shared.change(|state| state.store = Store::new(HISTORY));
    }

    /// Sends a bookmark to every watch that allows them.
    pub fn bookmark(&self) {
        self.shared.change(|state| state.bookmarks += 1);
    }

    /// Closes every connection; new ones are accepted.
    pub fn cut(&self) -> io::Result<()> {
        self.thread.order(Order::Cut)
    }

    /// Closes every connection and refuses new ones.
    pub fn stop(&self) -> io::Result<()> {
        self.thread.order(Order::Stop)
    }

    /// Listens again on its address, after [`Self::stop`]. Objects are unchanged.
    pub fn listen(&self) -> io::Result<()> {
        self.thread.order(Order::Listen)
    }

    /// Makes new requests wait for an answer that never comes, until called with `false`; requests after that are
    /// answered again.
    pub fn hang(&self, hang: bool) {
        self.shared.change(|state| state.faults.hang = hang);
    }

    /// Makes new requests for a resource, by its plural name, wait until called with `false`; then all are answered.
    pub fn hold(&self, plural: &str, hold: bool) {
        self.shared.change(|state| {
            if hold { state.faults.held.insert(plural.to_owned()) } else { state.faults.held.remove(plural) }
        });
    }

    /// Sends nothing more to any request so far, and keeps the connections open.
    pub fn silence(&self) {
        self.shared.change(|state| state.faults.silent_before = state.requests.len() as u64);
    }

    /// Fails this many of the next requests with this code, and `Retry-After` in seconds.
    pub fn fail_next(&self, count: usize, code: u16, retry_after: Option<u32>) {
        self.shared.change(|state| state.faults.failures.extend(vec![(code, retry_after); count]));
    }

    /// Answers requests for a resource, by its plural name, with this code; `None` serves it again.
    pub fn refuse(&self, plural: &str, code: Option<u16>) {
        self.shared.change(|state| match code {
            Some(code) => state.faults.refused.insert(plural.to_owned(), code),
            None => state.faults.refused.remove(plural),
        });
    }

    /// Ends watches of a resource, by its plural name, as soon as they have begun.
    pub fn end_watches(&self, plural: &str, end: bool) {
        self.shared.change(|state| {
            if end { state.faults.ended.insert(plural.to_owned()) } else { state.faults.ended.remove(plural) }
        });
    }

    /// Begins this many of the next watches at the oldest version remembered, whatever version they ask for.
    pub fn rewind_next_watches(&self, count: u32) {
        self.shared.change(|state| state.faults.rewind = count);
    }

    /// Makes watches from a future version stay silent until that version, bookmarks included, as those from a real
    /// server's watch cache do. By default they begin with the next change.
    pub fn await_future(&self, awaits: bool) {
        self.shared.change(|state| state.faults.awaits_future = awaits);
    }

    /// Streams no lists, as servers before 1.27 and those without the feature gate WatchList.
    pub fn stream_no_lists(&self) {
        self.shared.change(|state| state.faults.lists = Lists::RefusedStreams);
    }

    /// Says in the stream of a list that there is none, as servers whose etcd does not tell how far a watch has come.
    pub fn end_streamed_lists(&self) {
        self.shared.change(|state| state.faults.lists = Lists::EndedStreams);
    }

    /// Refuses expired watches with HTTP 410 instead of an `ERROR` event.
    pub fn expire_by_status(&self, by_status: bool) {
        self.shared.change(|state| state.faults.expire_by_status = by_status);
    }

    /// Sends bodies in small chunks, with pauses.
    pub fn slow(&self, slow: Option<Slow>) {
        self.shared.change(|state| state.faults.slow = slow);
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// The requests that were refused as wrong, with 400, 405 or 422. Asking whether the server streams lists is not wrong.
    pub fn malformed(&self) -> Vec<Request> {
        let is_wrong = |request: &Request| matches!(request.code, 400 | 405 | 422) && !request.is_streamed_list();
        self.requests().into_iter().filter(is_wrong).collect()
    }

    /// Waits until the requests so far satisfy a condition; false if they did not in time.
    pub fn wait_for(&self, limit: Duration, condition: impl Fn(&[Request]) -> bool) -> bool {
        self.shared.wait_for(limit, condition)
    }
}
