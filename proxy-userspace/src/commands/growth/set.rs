//! A larger set of maps, and programs over it: made and verified in the background, then put in the place of the set that serves.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch as changes},
    task::{JoinHandle, block_in_place, spawn_blocking},
};
use tracing::debug;

use super::running::Running;
use crate::{
    agent::Agent,
    attach::{self, Group, LoadedPrograms, Missing, ProgramSet},
    config::{DataplaneConfig, DeviceConfig, MapSizes},
    devices::{self, Follower},
    maps::{Maps, PinFolder},
    sockets::{self, Stale},
    succession::{
        self, Succession,
        loader::{self, Instance, NewSet},
    },
};

/// What a set is made by.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// With the sizes that the maps have now.
    pub dataplane: DataplaneConfig,
    /// The devices that are served.
    pub devices: DeviceConfig,
    /// Whether there are SCTP Services.
    pub sctp: changes::Receiver<bool>,
    /// Who is told which programs are loaded.
    pub programs: LoadedPrograms,
    /// Who is told which hooks lack their programs.
    pub missing: Missing,
    /// Who is told of sockets that stay connected to backends that are gone.
    pub stale: Stale,
    /// Whether connected UDP sockets are destroyed when their backend is gone.
    pub udp_termination: bool,
}

impl Recipe {
    pub(super) fn folder(&self) -> PinFolder {
        PinFolder::new(&self.dataplane.instance)
    }
}

/// A set that is complete but for what the agent writes.
pub struct Prepared {
    succession: Succession,
    program_set: ProgramSet,
    /// Its sizes.
    pub sizes: MapSizes,
    /// When it was begun.
    pub since: Instant,
}

impl Prepared {
    /// Makes a set in the background.
    pub fn start(recipe: Recipe, sizes: MapSizes) -> JoinHandle<anyhow::Result<Box<Self>>> {
        tokio::spawn(async move {
            let since = Instant::now();
            let folder = recipe.folder();
            let groups = Follower::groups(&recipe.devices, &folder, &recipe.sctp).await.context("find the devices")?;
            spawn_blocking(move || {
                let made = Self::make(&recipe, &groups, sizes, since);
                made.map(Box::new).inspect_err(|_| succession::give_up(&folder))
            })
            .await
            .context("make larger maps")?
        })
    }

    fn make(recipe: &Recipe, groups: &[Group], sizes: MapSizes, since: Instant) -> anyhow::Result<Self> {
        let config = DataplaneConfig { sizes: sizes.clone(), ..recipe.dataplane.clone() };
        let NewSet { ebpf, succession } = Instance::load_larger(&recipe.folder(), &config)?;
        let program_set = ProgramSet::new(ebpf, succession.folder(), groups, devices::needed(&recipe.devices))?;
        succession.prepare()?;
        debug!(took = ?since.elapsed(), "a larger set is prepared");
        Ok(Self { succession, program_set, sizes, since })
    }

    /// Puts the set in place, while the agent writes nothing. If that fails before any hook has a program of it, what served
    /// before serves on and is returned with the reason.
    pub async fn put_in_place(
        mut self,
        agent: &mut Agent,
        running: Running,
        recipe: &Recipe,
    ) -> anyhow::Result<Result<Moved, (Running, anyhow::Error)>> {
        let (mut follower, logs) = running.stop().await.context("stop following devices")?;
        let held = Instant::now();
        let (maps, udp_gone) = match block_in_place(|| self.fill(recipe)) {
            Ok(filled) => filled,
            Err(error) => {
                succession::give_up(&recipe.folder());
                return Ok(Err((Running::resume(follower, logs, recipe)?, error)));
            }
        };
        block_in_place(|| {
            attach::cgroup::attach(self.program_set.ebpf(), self.succession.folder(), &recipe.dataplane.cgroup)
        })?;
        // Nothing interrupts it: a signal that ends the agent is heard when all hooks have programs of one set.
        let program_set = self.program_set.telling(recipe.programs.clone());
        let renewed = block_in_place(|| Handle::current().block_on(follower.renew(program_set)));
        let before = renewed.context("serve devices")?;
        agent.move_to(maps, udp_gone);
        let held = held.elapsed();
        agent.write_waiting();
        if let Some(logs) = logs {
            logs.abort();
        }
        let logs = loader::forward_logs(follower.ebpf());
        let succession = self.succession;
        let finishing = spawn_blocking(move || {
            succession.finish()?;
            // Its programs are in use until now.
            drop(before);
            Ok(())
        });
        Ok(Ok(Moved {
            finishing,
            running: Running::resume(follower, logs, recipe)?,
            sizes: self.sizes,
            since: self.since,
            held,
        }))
    }

    /// Copies what the agent has written, and marks the set as complete: from now on there is no way back.
    fn fill(&mut self, recipe: &Recipe) -> anyhow::Result<Filled> {
        self.succession.fill()?;
        let maps = Maps::open(self.succession.folder())?;
        let mut udp_gone = None;
        if recipe.udp_termination {
            let (gone, to_terminate) = mpsc::unbounded_channel();
            sockets::start(self.succession.folder(), to_terminate, recipe.stale.clone())
                .context("prepare UDP termination")?;
            udp_gone = Some(gone);
        }
        self.succession.mark_complete(self.program_set.ebpf())?;
        Ok((maps, udp_gone))
    }
}

/// The maps, and who is told of backends that have gone.
type Filled = (Maps, Option<mpsc::UnboundedSender<BTreeSet<SocketAddr>>>);

/// A set that every hook has its program of. The set of before is being removed.
pub struct Moved {
    /// Ends when that is done.
    pub finishing: JoinHandle<anyhow::Result<()>>,
    /// What goes on.
    pub running: Running,
    /// The sizes of its maps.
    pub sizes: MapSizes,
    /// When it was begun.
    pub since: Instant,
    /// How long the agent wrote nothing.
    pub held: Duration,
}
