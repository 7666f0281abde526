//! The source under test on its own thread, and the events and log lines that it has produced. It must not judge them.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use harness::api_server::ApiServer;
use proxy_userspace::{
    objects::{Event, Kind, Object, ObjectRef},
    watch::{
        Source,
        contact::Contact,
        kube::{Kube, KubeConfig, LOG_DIRECTIVES, Timing},
    },
};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

/// How long anything may take before the test fails.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Short limits, so that tests need not wait long.
pub const QUICK: Timing = Timing {
    first_retry: Duration::from_millis(10),
    longest_retry: Duration::from_millis(200),
    settled: Duration::from_secs(1),
    response_timeout: Duration::from_millis(500),
    watch: Duration::from_mins(2),
    watch_grace: Duration::from_millis(200),
    absent: Duration::from_millis(100),
};

/// A folder that is removed with its owner.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("waggle-watch-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

/// The log so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server and a source that follows it.
pub struct Agent {
    pub server: ApiServer,
    pub folder: Folder,
    /// All events so far.
    pub events: Vec<Event>,
    /// The objects that exist by those events.
    pub objects: BTreeMap<ObjectRef, Object>,
    /// How often each kind has been listed.
    pub listed: BTreeMap<Kind, usize>,
    /// When the source has heard of the server.
    pub contact: Contact,
    receiver: Receiver<Event>,
    log: Log,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// Starts with the server's own kubeconfig.
    pub fn start(server: ApiServer, timing: Timing) -> Self {
        let folder = Folder::new();
        server.kubeconfig(folder.path()).unwrap();
        Self::start_in(server, folder, timing)
    }

    /// Starts with the file `kubeconfig` of the folder.
    pub fn start_in(server: ApiServer, folder: Folder, timing: Timing) -> Self {
        Self::start_at(server, folder, timing, None)
    }

    /// Starts with the file `kubeconfig` of the folder and another URL than the file's.
    pub fn start_at(server: ApiServer, folder: Folder, timing: Timing, api_server: Option<String>) -> Self {
        let kubeconfig = Some(folder.path().join("kubeconfig"));
        let (contact, node_name) = (Contact::new(), "here".to_owned());
        let config = KubeConfig { kubeconfig, api_server, node_name, timing, contact: contact.clone() };
        let (sender, receiver) = channel();
        let (stop, stopped) = oneshot::channel();
        let log = Log::default();
        let lines = log.clone();
        let thread = thread::spawn(move || {
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_env_filter(EnvFilter::new(format!(
                    "info,proxy_userspace::watch=debug,{}",
                    LOG_DIRECTIVES.join(",")
                )))
                .with_writer(move || lines.clone())
                .finish();
            let _log = tracing::subscriber::set_default(subscriber);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (events, mut reported) = tokio::sync::mpsc::channel(16);
                let source = Kube::connect(config).await.unwrap().run(events);
                let forward = async {
                    while let Some(event) = reported.recv().await {
                        sender.send(event).unwrap_or_default();
                    }
                };
                tokio::select! {
                    _ = stopped => {}
                    ended = source => panic!("the source ended: {ended:?}"),
                    () = forward => {}
                }
            });
        });
        let (stop, thread) = (Some(stop), Some(thread));
        let (events, objects, listed) = Default::default();
        Self { server, folder, events, objects, listed, contact, receiver, log, stop, thread }
    }

    /// Starts and waits until every kind has been listed.
    pub fn listed(server: ApiServer, timing: Timing) -> Self {
        let mut agent = Self::start(server, timing);
        agent.until("every kind is listed", |agent| agent.listed.len() == Kind::ALL.len());
        agent
    }

    /// Takes events until the condition holds.
    #[track_caller]
    pub fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(event) = self.receiver.recv_timeout(left) else {
                panic!("gave up waiting until {what}\n{}\n{:#?}", self.log(), self.server.requests());
            };
            match &event {
                Event::Applied(object) => drop(self.objects.insert(object.reference(), Object::clone(object))),
                Event::Deleted(object) => drop(self.objects.remove(object)),
                Event::Listed(kind) => *self.listed.entry(*kind).or_default() += 1,
            }
            self.events.push(event);
        }
    }

    /// Waits until the server has got requests that satisfy the condition.
    #[track_caller]
    pub fn until_requested(&self, what: &str, condition: impl Fn(&[harness::api_server::Request]) -> bool) {
        assert!(self.server.wait_for(DEADLINE, condition), "no request in time: {what}\n{}", self.log());
    }

    /// Waits until all four watches have been answered.
    #[track_caller]
    pub fn until_watching(&self) {
        self.until_requested("four watches", |requests| {
            requests.iter().filter(|request| request.is_watch() && request.code == 200).count() >= 4
        });
    }

    /// Waits until an object exists with this first port.
    #[track_caller]
    pub fn until_port(&mut self, service: &str, port: i32) {
        self.until(&format!("{service} has port {port}"), |agent| agent.port(service) == Some(port));
    }

    /// Waits until an object is gone.
    #[track_caller]
    pub fn until_gone(&mut self, service: &str) {
        self.until(&format!("{service} is gone"), |agent| agent.port(service).is_none());
    }

    /// The first port of a Service in the default namespace.
    pub fn port(&self, service: &str) -> Option<i32> {
        match self.objects.get(&reference(Kind::Service, service))? {
            Object::Service(service) => Some(service.spec.ports.as_ref()?.first()?.port),
            _ => None,
        }
    }

    /// The names of the objects of a kind.
    pub fn names(&self, kind: Kind) -> Vec<&str> {
        self.objects.keys().filter(|object| object.kind == kind).map(|object| object.name.as_str()).collect()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.0.lock().unwrap()).into_owned()
    }

    /// How many logged lines contain the text.
    pub fn logged(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the source panicked: {ended:?}");
            assert_eq!(self.server.malformed(), [], "the source sent malformed requests");
        }
    }
}

/// An object in the default namespace, or in none where its kind has none.
pub fn reference(kind: Kind, name: &str) -> ObjectRef {
    let namespaced = matches!(kind, Kind::Service | Kind::EndpointSlice);
    let namespace = if namespaced { "default".to_owned() } else { String::new() };
    ObjectRef { kind, namespace, name: name.to_owned() }
}
