//! Puts the set of programs of a new agent in place: makes its maps large enough, loads its programs, and attaches them to every
//! hook.

use std::{collections::BTreeSet, net::SocketAddr};

use anyhow::Context as _;
use tokio::{
    sync::mpsc::UnboundedReceiver,
    task::{JoinHandle, block_in_place, spawn_blocking},
    try_join,
};
use tracing::{debug, info, warn};

use super::growth::{self, Growth, Running, SetConfig};
use crate::{
    agent::{Agent, Inputs},
    attach::{self, Group, ProgramSet},
    config::MapSizes,
    devices::{self, Follower},
    logging::errors::Report,
    maps::PinFolder,
    node::heap,
    sockets,
    succession::{Succession, import, loader::NewSet},
};

/// A new set of programs whose maps exist and whose programs are not loaded yet.
pub struct Startup {
    set: NewSet,
    set_config: SetConfig,
    limits: MapSizes,
    is_first: bool,
    /// Receives removed backends, whose UDP sockets are to be destroyed.
    gone: UnboundedReceiver<BTreeSet<SocketAddr>>,
}

impl Startup {
    /// Takes a set whose maps have the sizes of `set_config`. `is_first` is true if no programs are attached yet.
    pub fn new(
        set: NewSet,
        set_config: SetConfig,
        (limits, is_first): (MapSizes, bool),
        gone: UnboundedReceiver<BTreeSet<SocketAddr>>,
    ) -> Self {
        Self { set, set_config, limits, is_first, gone }
    }

    /// Programs the objects that the source lists, and puts the set in place. Returns the [`Growth`] to continue with, or `None`
    /// if the source ended.
    pub async fn serve(mut self, agent: &mut Agent, inputs: &mut Inputs) -> anyhow::Result<Option<Growth>> {
        let is_first = self.is_first;
        if self.set.succession.is_first() {
            // How large the maps must be depends on the listed objects.
            if !agent.list(inputs).await {
                return Ok(None);
            }
            self.fit(agent)?;
        }
        agent.set_growing(growth::growing(&self.set_config.dataplane.sizes, &self.limits));
        agent.expect_programs(self.set.succession.is_in_force());
        let Loading { task, set_config, limits } = self.load()?;
        // The verifier runs concurrently.
        let (listed, hooks) = try_join!(async { Ok(agent.start(inputs).await) }, loaded(task))?;
        if !listed {
            return Ok(None);
        }
        let running = hooks.attach(&set_config, is_first.then_some(&*agent)).await?;
        agent.attached();
        // Listing objects and loading programs has left much free memory.
        heap::trim();
        info!("serving");
        Ok(Some(Growth::new(set_config, limits, running)))
    }

    /// Enlarges maps that are too small for the listed objects. The maps are still empty.
    fn fit(&mut self, agent: &mut Agent) -> anyhow::Result<()> {
        if let Some(sizes) = growth::enough(&self.set_config.dataplane.sizes, &self.limits, &agent.demand()) {
            debug!(?sizes, "enlarging the maps for the listed objects");
            self.set_config.dataplane.sizes = sizes;
            agent.enlarge(self.set.enlarge(&self.set_config.dataplane)?);
        }
        Ok(())
    }

    /// Loads the programs in the background.
    fn load(self) -> anyhow::Result<Loading> {
        let Self { set, set_config, limits, gone, .. } = self;
        let folder = set.succession.folder().clone();
        if set_config.udp_termination {
            sockets::start(&folder, gone, set_config.stale.clone()).context("prepare UDP termination")?;
        }
        let ingredients = set_config.clone();
        let task = tokio::spawn(async move {
            // The old and the new set share the folder with the pins of attached programs.
            let groups = devices::groups(&ingredients.devices, &folder).await.context("find the devices")?;
            spawn_blocking(move || Hooks::load(set, &groups, folder, &ingredients)).await.context("load")?
        });
        Ok(Loading { task, set_config, limits })
    }
}

/// Programs that are being loaded.
struct Loading {
    task: JoinHandle<anyhow::Result<Hooks>>,
    set_config: SetConfig,
    limits: MapSizes,
}

async fn loaded(task: JoinHandle<anyhow::Result<Hooks>>) -> anyhow::Result<Hooks> {
    task.await.context("load the programs")?
}

/// The loaded programs, which are attached when the first plan is in force.
struct Hooks {
    folder: PinFolder,
    succession: Succession,
    devices: Follower,
}

impl Hooks {
    fn load(set: NewSet, groups: &[Group], folder: PinFolder, set_config: &SetConfig) -> anyhow::Result<Self> {
        let NewSet { ebpf, succession } = set;
        let (config, sctp) = (set_config.devices.clone(), set_config.sctp.clone());
        let program_set = ProgramSet::new(ebpf, &folder, groups, devices::needed(&config))?
            .publishing_to(set_config.programs.clone());
        Ok(Self {
            devices: Follower::new(program_set, folder.clone(), config, sctp, set_config.missing.clone())?,
            folder,
            succession,
        })
    }

    /// Attaches the programs to the cgroup and to the existing devices, and follows devices from then on. On a first start,
    /// `first_agent` is the agent: then netfilter's flows to the Services that it serves are imported.
    async fn attach(mut self, set_config: &SetConfig, first_agent: Option<&Agent>) -> anyhow::Result<Running> {
        let cgroup = &set_config.dataplane.cgroup;
        block_in_place(|| self.succession.complete(self.devices.ebpf()))?;
        attach::cgroup::attach(self.devices.ebpf(), &self.folder, cgroup)?;
        info!(cgroup = %cgroup.display(), "socket hooks attached");
        first_agent.inspect(|agent| import_flows(&self.folder, agent));
        self.devices.start().await.context("serve devices")?;
        // Again, for flows that began while hooks were attached.
        first_agent.inspect(|agent| import_flows(&self.folder, agent));
        debug!("every hook has its new program");
        block_in_place(|| self.succession.finish())?;
        Ok(Running::start(self.devices, set_config)?)
    }
}

/// Imports the flows that netfilter translates, so that they continue. If that fails, they may be cut, but serving is more
/// important.
fn import_flows(folder: &PinFolder, agent: &Agent) {
    match import::import_flows(folder, |dialled| agent.dataplane().serves(dialled)) {
        Ok(0) => {}
        Ok(flows) => info!(flows, "imported flows that netfilter translates: they continue until they end"),
        Err(error) => {
            warn!(error = %Report(&error), "failed to import flows: connections through another service proxy may be cut");
        }
    }
}
