//! `waggle run`: puts the parts of the agent together and ends them in order. When the agent ends, the data plane stays in place,
//! and a set of programs that is not complete is removed.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch as changes},
    task::JoinHandle,
};
use tracing::{Level, enabled, info, warn};

use crate::{
    agent::{Agent, Inputs, labels::ServiceLabels, status::Status},
    apply::Dataplane,
    attach::LoadedPrograms,
    commands::{
        config_file,
        growth::{self, SetConfig},
        page::PageDocuments,
        ready::Ready,
        startup::Startup,
    },
    config::{BindAddresses, Config, DataplaneConfig, MapSizes, SourceConfig, devices::DeviceMode},
    logging::errors::Report,
    model::{Model, ModelConfig},
    node::{
        addresses,
        forwarding::Forwarding,
        host,
        rtnetlink::{KernelError, Routes},
        snat_ports::SnatPorts,
    },
    objects::{ApiEvent, Event, LocalAddresses},
    server::{self, ports::BindError, scraped::Scraped},
    succession::{
        self,
        loader::{Instance, Loaded},
    },
    watch::{
        Source as _,
        contact::Contact,
        kube::{Kube, KubeConfig},
        manifests::{Manifests, ManifestsConfig},
    },
};

/// The most events that wait for the agent. A source that is further ahead waits, with what it has not decoded yet: a decoded
/// EndpointSlice of ten endpoints takes some 6 KB, more than its text.
const QUEUE: usize = 256;
/// The most Events that wait to be sent to the API server. Further ones are dropped.
const QUEUE_OF_API_EVENTS: usize = 16;
/// The most changes of routes that wait for the agent.
const QUEUE_OF_ROUTES: usize = 16;

/// Runs until a signal or an error.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let node_name = host::node_name(config.node_name.as_deref())?;
    let cgroup = cgroup(config.cgroup.as_ref())?;
    let instance = &config.instance;
    info!(node = node_name, instance, cgroup = %cgroup.display(), version = env!("CARGO_PKG_VERSION"), "waggle starts");

    let locked = Instance::open(instance, &cgroup)?;
    let sizes =
        if config.preallocates { config.sizes.clone() } else { growth::at_start(&locked.sizes(), &config.sizes) };
    let dataplane = dataplane_config(&config, cgroup, sizes)?;
    let loaded = locked.load(&dataplane)?;
    let result = Box::pin(serve(config, node_name, dataplane, loaded)).await;
    succession::give_up(locked.folder());
    result
}

/// Serves with the new set of programs. Until it is in place, the previous set serves.
async fn serve(
    config: Config,
    node_name: String,
    dataplane: DataplaneConfig,
    Loaded { set, maps, is_first }: Loaded,
) -> anyhow::Result<()> {
    let settings = model_config(&config, &node_name);
    let forwarding = (config.devices.mode != DeviceMode::Off).then(|| Forwarding::new(config.proc_sys.clone()));
    let (is_there, sctp) = changes::channel(false);
    let contact = matches!(config.source, SourceConfig::Kube { .. }).then(Contact::new);
    let (published, status) = changes::channel(Status::following(contact.clone(), config.silence));
    let (labels, programs) = (ServiceLabels::default(), LoadedPrograms::default());
    let scraped = Scraped::new(&config, &node_name, status.clone(), labels.clone(), programs.clone());
    let (gone, to_terminate) = mpsc::unbounded_channel();
    let (devices, udp_termination) = (config.devices, config.udp_termination);
    let (missing, stale) = (status.borrow().missing.clone(), status.borrow().stale.clone());
    let set_config = SetConfig { dataplane, devices, sctp, programs, missing, stale, udp_termination };
    let startup = Startup::new(set, set_config, (config.sizes, is_first), to_terminate);

    let (events, received) = mpsc::channel(QUEUE);
    let (writer, to_write) = mpsc::channel(QUEUE_OF_API_EVENTS);
    let (source, api_server) =
        start_source(config.source, &config.instance, (node_name, contact), (events, to_write)).await?;
    let (addresses, routes, addresses_task) = follow_addresses();
    let checks = server::checks::serve(status.clone(), config.nodeport_addresses);
    let ports = serve_ports(status, scraped, config.bind_addresses, &config.instance);
    let model = Model::new(ModelConfig { api_server, ..settings });
    let snat = SnatPorts::read().context("read which ports this host keeps for itself")?;
    // Only programs of devices need the routes to backends.
    let dataplane = Dataplane::new(maps, snat).with_route_lookup(forwarding.is_some());
    let mut agent = Agent::new(model, dataplane, gone, is_there, published, writer, labels).serving_outside(forwarding);
    let mut inputs = Inputs { events: received, addresses, routes };
    tokio::select! {
        result = follow(&mut agent, &mut inputs, startup, checks) => result?,
        result = addresses_task => result.context("follow this node's addresses")?.context("follow this node's addresses")?,
        Ok(Err(error)) = ports => return Err(error.into()),
        () = config_file::changed(config.file) => {
            bail!("the configuration file has changed; a restart of the agent applies it");
        }
        name = stop_signal() => {
            info!(signal = name?, "stopping; the data plane stays in place (`waggle cleanup` removes it)");
            return Ok(());
        }
    }
    // The loop ends only if the source ends; the source's error is the reason.
    source.await.context("follow the source")?.context("follow the source")?;
    bail!("the source of objects has ended");
}

/// Starts serving the agent's own ports.
fn serve_ports(
    status: changes::Receiver<Status>,
    scraped: Scraped,
    addresses: BindAddresses,
    instance: &str,
) -> JoinHandle<Result<(), BindError>> {
    let page = Arc::new(PageDocuments::new(instance));
    tokio::spawn(server::ports::serve(status, addresses, scraped, page))
}

/// Starts following this node's addresses and routes.
fn follow_addresses() -> (changes::Receiver<LocalAddresses>, mpsc::Receiver<Routes>, JoinHandle<Result<(), KernelError>>)
{
    let (local, addresses) = changes::channel(LocalAddresses::default());
    let (changed, routes) = mpsc::channel(QUEUE_OF_ROUTES);
    (addresses, routes, tokio::spawn(addresses::watch(local, changed)))
}

/// Returns the model's configuration, without the API server's addresses.
fn model_config(config: &Config, node_name: &str) -> ModelConfig {
    ModelConfig {
        node_name: node_name.to_owned(),
        nodeport_addresses: config.nodeport_addresses.clone(),
        external_ips: config.external_ips.clone(),
        own_ports: config.bind_addresses.all().collect(),
        ..ModelConfig::default()
    }
}

/// Puts the new set in place once everything is listed, and follows the source until it ends.
async fn follow(
    agent: &mut Agent,
    inputs: &mut Inputs,
    startup: Startup,
    checks: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    // Load balancers learn from the first moment on that this node does not serve yet.
    tokio::spawn(checks);
    if let Some(growth) = startup.serve(agent, inputs).await? {
        let _ready = say_ready(growth.instance());
        growth.run(agent, inputs).await?;
    }
    Ok(())
}

/// Returns the cgroup whose processes are served. Logs a warning if pods may be outside it.
fn cgroup(chosen: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    let cgroup = chosen.cloned().map_or_else(host::cgroup_root, Ok)?;
    if !host::is_whole_hierarchy(&cgroup) {
        warn!(
            cgroup = %cgroup.display(),
            "only processes in this cgroup are served, and it is not the root of the hierarchy: pods outside it can't reach \
             Services; mount the host's cgroup v2 hierarchy and name it with --cgroup"
        );
    }
    Ok(cgroup)
}

fn dataplane_config(config: &Config, cgroup: PathBuf, sizes: MapSizes) -> anyhow::Result<DataplaneConfig> {
    Ok(DataplaneConfig {
        instance: config.instance.clone(),
        cgroup,
        sizes,
        constants: config.flows.constants()?,
        log_level: kernel_log_level(),
    })
}

/// Makes `waggle ready` succeed until the returned value is dropped. If this fails, only updates of the DaemonSet are held up.
fn say_ready(instance: &str) -> Option<Ready> {
    Ready::announce(instance)
        .inspect_err(|error| warn!(error = %Report(error), "this agent serves, but `waggle ready` will fail"))
        .ok()
}

/// The task that follows a source, and the API server's addresses.
type Followed = (JoinHandle<anyhow::Result<()>>, BTreeSet<SocketAddr>);

/// Starts following the API server or the folder.
async fn start_source(
    source: SourceConfig,
    instance: &str,
    (node_name, contact): (String, Option<Contact>),
    (events, to_write): (mpsc::Sender<Event>, mpsc::Receiver<ApiEvent>),
) -> anyhow::Result<Followed> {
    let contact = contact.unwrap_or_default();
    match source {
        SourceConfig::Kube { kubeconfig, api_server } => {
            let kube =
                Kube::connect(KubeConfig { kubeconfig, api_server, node_name, contact, ..KubeConfig::default() })
                    .await?;
            tokio::spawn(kube.write_events(to_write));
            let addresses = kube.addresses().await;
            Ok((tokio::spawn(kube.run(events)), addresses))
        }
        SourceConfig::Manifests { folder, service_cidrs, node_ports, allocations } => {
            let state = allocations.unwrap_or_else(|| PathBuf::from(format!("/var/lib/waggle/{instance}.json")));
            let manifests = Manifests::new(ManifestsConfig { folder, service_cidrs, node_ports, node_name, state });
            Ok((tokio::spawn(manifests.run(events)), BTreeSet::new()))
        }
    }
}

/// Returns the level at which the programs log: 0 unless the agent's log shows it, so that the verifier removes the calls.
fn kernel_log_level() -> u8 {
    const OFF: u8 = 0;
    const DEBUG: u8 = 4;
    if enabled!(target: "proxy_ebpf", Level::DEBUG) { DEBUG } else { OFF }
}

/// Waits for SIGINT or SIGTERM and names it.
async fn stop_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
