//! A set of programs with larger maps, which is created and verified in the background and then replaces the current set.

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

/// The settings and channels that a set of programs is made with.
#[derive(Clone, Debug)]
pub struct SetConfig {
    /// The loader's configuration, with the current sizes of the maps.
    pub dataplane: DataplaneConfig,
    /// Which devices are served, and how.
    pub devices: DeviceConfig,
    /// Whether there are SCTP Services.
    pub sctp: changes::Receiver<bool>,
    /// Where the loaded programs are published.
    pub programs: LoadedPrograms,
    /// Where hooks that lack their programs are published.
    pub missing: Missing,
    /// Where sockets that stay connected to removed backends are reported.
    pub stale: Stale,
    /// Whether connected UDP sockets are destroyed when their backend is gone.
    pub udp_termination: bool,
}

impl SetConfig {
    pub(super) fn folder(&self) -> PinFolder {
        PinFolder::new(&self.dataplane.instance)
    }
}

/// A set that is complete except for the entries that the agent writes.
pub struct Prepared {
    succession: Succession,
    program_set: ProgramSet,
    /// The sizes of its maps.
    pub sizes: MapSizes,
    /// When its preparation began.
    pub since: Instant,
}

impl Prepared {
    /// Creates a set in the background.
    pub fn start(set_config: SetConfig, sizes: MapSizes) -> JoinHandle<anyhow::Result<Box<Self>>> {
        tokio::spawn(async move {
            let since = Instant::now();
            let folder = set_config.folder();
            let groups =
                Follower::groups(&set_config.devices, &folder, &set_config.sctp).await.context("find the devices")?;
            spawn_blocking(move || {
                let made = Self::make(&set_config, &groups, sizes, since);
                made.map(Box::new).inspect_err(|_| succession::give_up(&folder))
            })
            .await
            .context("make larger maps")?
        })
    }

    fn make(set_config: &SetConfig, groups: &[Group], sizes: MapSizes, since: Instant) -> anyhow::Result<Self> {
        let config = DataplaneConfig { sizes: sizes.clone(), ..set_config.dataplane.clone() };
        let NewSet { ebpf, succession } = Instance::load_larger(&set_config.folder(), &config)?;
        let program_set = ProgramSet::new(ebpf, succession.folder(), groups, devices::needed(&set_config.devices))?;
        succession.prepare()?;
        debug!(took = ?since.elapsed(), "a larger set is prepared");
        Ok(Self { succession, program_set, sizes, since })
    }

    /// Puts the set in place, while the agent writes nothing. If that fails before any hook has a program of the set, returns the
    /// previous set, which still serves, with the reason. The outer error is fatal: hooks may have programs of both sets.
    pub async fn put_in_place(
        mut self,
        agent: &mut Agent,
        running: Running,
        set_config: &SetConfig,
    ) -> anyhow::Result<Result<Moved, (Running, anyhow::Error)>> {
        let (mut follower, logs) = running.stop().await.context("stop following devices")?;
        let held = Instant::now();
        let (maps, udp_gone) = match block_in_place(|| self.fill(set_config)) {
            Ok(filled) => filled,
            Err(error) => {
                succession::give_up(&set_config.folder());
                return Ok(Err((Running::resume(follower, logs, set_config)?, error)));
            }
        };
        block_in_place(|| {
            attach::cgroup::attach(self.program_set.ebpf(), self.succession.folder(), &set_config.dataplane.cgroup)
        })?;
        // Blocking, so that no signal ends the agent before all hooks have programs of one set.
        let program_set = self.program_set.publishing_to(set_config.programs.clone());
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
            // The previous programs are in use until here.
            drop(before);
            Ok(())
        });
        Ok(Ok(Moved {
            finishing,
            running: Running::resume(follower, logs, set_config)?,
            sizes: self.sizes,
            since: self.since,
            held,
        }))
    }

    /// Copies the entries that the agent has written, and marks the set as complete: after this there is no way back.
    fn fill(&mut self, set_config: &SetConfig) -> anyhow::Result<Filled> {
        self.succession.fill()?;
        let maps = Maps::open(self.succession.folder())?;
        let mut udp_gone = None;
        if set_config.udp_termination {
            let (gone, to_terminate) = mpsc::unbounded_channel();
            sockets::start(self.succession.folder(), to_terminate, set_config.stale.clone())
                .context("prepare UDP termination")?;
            udp_gone = Some(gone);
        }
        self.succession.mark_complete(self.program_set.ebpf())?;
        Ok((maps, udp_gone))
    }
}

/// The maps, and where removed backends are sent.
type Filled = (Maps, Option<mpsc::UnboundedSender<BTreeSet<SocketAddr>>>);

/// A set that is attached to every hook. The previous set is being removed.
pub struct Moved {
    /// Ends when the previous set is removed.
    pub finishing: JoinHandle<anyhow::Result<()>>,
    /// The tasks of the set.
    pub running: Running,
    /// The sizes of its maps.
    pub sizes: MapSizes,
    /// When its preparation began.
    pub since: Instant,
    /// How long the agent could not write.
    pub held: Duration,
}
