//! How a start puts its set of programs in place: maps that are large enough, programs that the verifier has taken, every hook.

use std::{collections::BTreeSet, net::SocketAddr};

use anyhow::Context as _;
use tokio::{
    sync::mpsc::UnboundedReceiver,
    task::{JoinHandle, block_in_place, spawn_blocking},
    try_join,
};
use tracing::{debug, info, warn};

use super::growth::{self, Growth, Recipe, Running};
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

/// A start whose maps exist.
pub struct Begun {
    set: NewSet,
    recipe: Recipe,
    limits: MapSizes,
    is_first: bool,
    /// Backends that have gone.
    gone: UnboundedReceiver<BTreeSet<SocketAddr>>,
}

impl Begun {
    /// With a set whose maps have the sizes of `recipe`. `is_first`: no programs are attached.
    pub fn new(
        set: NewSet,
        recipe: Recipe,
        (limits, is_first): (MapSizes, bool),
        gone: UnboundedReceiver<BTreeSet<SocketAddr>>,
    ) -> Self {
        Self { set, recipe, limits, is_first, gone }
    }

    /// Programs what the source lists, and puts the set in place. Returns what makes its maps grow; none if the source ended.
    pub async fn serve(mut self, agent: &mut Agent, inputs: &mut Inputs) -> anyhow::Result<Option<Growth>> {
        let is_first = self.is_first;
        if self.set.succession.is_first() {
            // Only the objects tell how large the maps must be.
            if !agent.list(inputs).await {
                return Ok(None);
            }
            self.fit(agent)?;
        }
        agent.let_grow(growth::growing(&self.recipe.dataplane.sizes, &self.limits));
        let Loading { task, recipe, limits } = self.load()?;
        // The verifier works meanwhile.
        let (listed, hooks) = try_join!(async { Ok(agent.start(inputs).await) }, loaded(task))?;
        if !listed {
            return Ok(None);
        }
        let running = hooks.attach(&recipe, is_first.then_some(&*agent)).await?;
        agent.attached();
        // Lists have been read, and programs loaded.
        heap::give_back();
        info!("serving");
        Ok(Some(Growth::new(recipe, limits, running)))
    }

    /// Makes maps larger that lack room for what is listed. Nobody has written them yet.
    fn fit(&mut self, agent: &mut Agent) -> anyhow::Result<()> {
        if let Some(sizes) = growth::enough(&self.recipe.dataplane.sizes, &self.limits, &agent.demand()) {
            debug!(?sizes, "maps for what is listed");
            self.recipe.dataplane.sizes = sizes;
            agent.enlarge(self.set.enlarge(&self.recipe.dataplane)?);
        }
        Ok(())
    }

    /// Loads programs in the background.
    fn load(self) -> anyhow::Result<Loading> {
        let Self { set, recipe, limits, gone, .. } = self;
        let folder = set.succession.folder().clone();
        if recipe.udp_termination {
            sockets::start(&folder, gone, recipe.stale.clone()).context("prepare UDP termination")?;
        }
        let ingredients = recipe.clone();
        let task = tokio::spawn(async move {
            // Pins of what is attached are in the folder that both sets have.
            let groups = devices::groups(&ingredients.devices, &folder).await.context("find the devices")?;
            spawn_blocking(move || Hooks::load(set, &groups, folder, &ingredients)).await.context("load")?
        });
        Ok(Loading { task, recipe, limits })
    }
}

/// Programs that are being loaded.
struct Loading {
    task: JoinHandle<anyhow::Result<Hooks>>,
    recipe: Recipe,
    limits: MapSizes,
}

async fn loaded(task: JoinHandle<anyhow::Result<Hooks>>) -> anyhow::Result<Hooks> {
    task.await.context("load the programs")?
}

/// What is attached once the first plan is in force.
struct Hooks {
    folder: PinFolder,
    succession: Succession,
    devices: Follower,
}

impl Hooks {
    fn load(set: NewSet, groups: &[Group], folder: PinFolder, recipe: &Recipe) -> anyhow::Result<Self> {
        let NewSet { ebpf, succession } = set;
        let (config, sctp) = (recipe.devices.clone(), recipe.sctp.clone());
        let program_set =
            ProgramSet::new(ebpf, &folder, groups, devices::needed(&config))?.telling(recipe.programs.clone());
        Ok(Self {
            devices: Follower::new(program_set, folder.clone(), config, sctp, recipe.missing.clone())?,
            folder,
            succession,
        })
    }

    /// Attaches them to the cgroup and to the devices that are there, and follows the devices from then on. The first
    /// time flows of before are taken over, which `beginner` serves from now on.
    async fn attach(mut self, recipe: &Recipe, beginner: Option<&Agent>) -> anyhow::Result<Running> {
        let cgroup = &recipe.dataplane.cgroup;
        block_in_place(|| self.succession.complete(self.devices.ebpf()))?;
        attach::cgroup::attach(self.devices.ebpf(), &self.folder, cgroup)?;
        info!(cgroup = %cgroup.display(), "socket hooks attached");
        beginner.inspect(|agent| import_flows(&self.folder, agent));
        self.devices.start().await.context("serve devices")?;
        // Once more, for the flows that began meanwhile.
        beginner.inspect(|agent| import_flows(&self.folder, agent));
        debug!("every hook has its new program");
        block_in_place(|| self.succession.finish())?;
        Ok(Running::start(self.devices, recipe)?)
    }
}

/// Lets flows of before go on. Without it they are cut, which is no reason not to serve.
fn import_flows(folder: &PinFolder, agent: &Agent) {
    match import::import_flows(folder, |dialled| agent.dataplane().serves(dialled)) {
        Ok(0) => {}
        Ok(flows) => info!(flows, "flows that netfilter translates go on until they end"),
        Err(error) => warn!(error = %Report(&error), "connections through another service proxy may be cut"),
    }
}
