//! Follows the devices of the agent's network namespace, and keeps programs on the selected ones. `select` decides
//! which devices these are; `serve` attaches the programs.

mod following;
mod outcome;
mod select;
mod serve;
mod unreliable_xdp;

use std::{collections::BTreeSet, convert::Infallible, future::pending, time::Duration};

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use proxy_common::Device;
use tokio::{
    sync::watch as changes,
    task::block_in_place,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

pub use self::following::Following;
use self::serve::Devices;
use crate::{
    attach::{self, AttachError, Group, Missing, ProgramSet},
    config::devices::{DeviceConfig, DeviceMode},
    logging::errors::Report,
    maps::{self, MapsError, PinFolder},
    node::rtnetlink::{KernelError, Snapshot, Watcher},
};

/// The least time between two snapshots of the kernel. The first change after a quiet time is taken at once.
const GATHER: Duration = Duration::from_millis(20);
/// How long to wait before a lost connection is reopened.
const RECONNECT: Duration = Duration::from_secs(1);
/// How long until a device is served again without a change, if it could not be served, or not well, or has lost a
/// program.
const RETRY: Duration = Duration::from_secs(10);

/// Decides which devices of a snapshot are served: for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn look(snapshot: &Snapshot) {
    for sctp in [false, true] {
        let selection = select::select(&DeviceConfig::default(), snapshot, &BTreeSet::new(), sctp);
        for target in selection.devices.values() {
            let _ = (target.xdp(DeviceMode::Auto), target.variant());
        }
    }
}

/// Why devices can't be served at all.
#[derive(Debug, thiserror::Error)]
pub enum DevicesError {
    /// A program can't be loaded, or the pins can't be listed.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The map DEVICES can't be opened.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The kernel's devices can't be listed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// The programs that a start needs: for the selected devices, and for those that an earlier agent has served. Others
/// are loaded when a device needs them.
pub async fn groups(config: &DeviceConfig, folder: &PinFolder) -> Result<Vec<Group>, DevicesError> {
    if config.mode == DeviceMode::Off {
        return Ok(vec![Group::Sockets]);
    }
    let snapshot = Watcher::start()?.snapshot().await?;
    let mut groups = attach::device::groups(folder)?;
    groups.extend([Group::Sockets, Group::Tc]);
    let found = select::select(config, &snapshot, &BTreeSet::new(), false);
    groups.extend(found.devices.values().flat_map(|target| target.groups(config.mode)));
    Ok(groups.into_iter().collect())
}

/// The groups without which a start must fail, so that an earlier agent's programs stay in force.
pub const fn needed(config: &DeviceConfig) -> &'static [Group] {
    match config.mode {
        DeviceMode::Off => &[Group::Sockets],
        DeviceMode::Auto | DeviceMode::Tc => &[Group::Sockets, Group::Tc],
        // Nothing replaces XDP where it was asked for explicitly.
        DeviceMode::Xdp | DeviceMode::XdpGeneric => &[Group::Sockets, Group::Tc, Group::Xdp],
    }
}

/// The programs, and the devices that they serve.
pub struct Follower {
    config: DeviceConfig,
    devices: Devices,
    /// Whether there are SCTP Services.
    sctp: changes::Receiver<bool>,
    /// Names that have been logged as missing or unsuited.
    logged: BTreeSet<String>,
    /// The logged reason why SCTP of the node's own processes is not served.
    logged_own: Option<String>,
}

impl Follower {
    /// A follower that has attached nothing yet. `sctp` says whether there are SCTP Services; `missing` is told which devices
    /// can't be served.
    pub fn new(
        program_set: ProgramSet,
        folder: PinFolder,
        config: DeviceConfig,
        sctp: changes::Receiver<bool>,
        missing: Missing,
    ) -> Result<Self, DevicesError> {
        let map: HashMap<MapData, u32, Device> = maps::open(&folder, "DEVICES")?;
        let devices = Devices::new(program_set, map, folder, &config, missing);
        Ok(Self { config, devices, sctp, logged: BTreeSet::new(), logged_own: None })
    }

    /// The eBPF object.
    pub const fn ebpf(&mut self) -> &mut Ebpf {
        self.devices.program_set().ebpf()
    }

    /// Attaches the programs to every selected device, and detaches them from other devices that an earlier agent has
    /// served.
    pub async fn start(&mut self) -> Result<(), DevicesError> {
        if self.config.mode == DeviceMode::Off {
            info!("no device is served: packets from outside the node pass untouched");
        }
        self.look_once().await
    }

    async fn look_once(&mut self) -> Result<(), DevicesError> {
        let snapshot = Watcher::start()?.snapshot().await?;
        Ok(self.look(&snapshot)?)
    }

    /// Gives every served device the program of another set, each hook atomically. Returns the set of before.
    pub async fn renew(&mut self, program_set: ProgramSet) -> Result<ProgramSet, DevicesError> {
        let before = self.devices.renew(program_set);
        self.look_once().await.map(|()| before)
    }

    /// The groups of programs that serve what is there now, and what may be there soon.
    pub async fn groups(
        config: &DeviceConfig,
        folder: &PinFolder,
        sctp: &changes::Receiver<bool>,
    ) -> Result<Vec<Group>, DevicesError> {
        let mut groups = groups(config, folder).await?;
        groups.extend((*sctp.borrow() && config.mode != DeviceMode::Off).then_some(Group::Own));
        Ok(groups)
    }

    /// Follows changes for ever. A lost connection is logged and reopened.
    async fn follow(&mut self) -> Infallible {
        if self.config.mode == DeviceMode::Off {
            return pending().await;
        }
        loop {
            let Err(error) = self.follow_connected().await;
            warn!(
                error = %Report(&error),
                "lost the connection to the kernel: new devices may not be served; trying again"
            );
            sleep(RECONNECT).await;
        }
    }

    async fn follow_connected(&mut self) -> Result<Infallible, DevicesError> {
        let mut kernel = Watcher::start()?;
        loop {
            self.look(&kernel.snapshot().await?)?;
            sleep(GATHER).await;
            self.wait(&mut kernel).await?;
        }
    }

    /// Waits until there is a reason to look again.
    async fn wait(&mut self, kernel: &mut Watcher) -> Result<(), KernelError> {
        loop {
            match timeout(RETRY, changed(kernel, &mut self.sctp)).await {
                Ok(heard) => return heard,
                // This asks the kernel for each device's programs.
                Err(_) if block_in_place(|| self.devices.is_unsettled()) => return Ok(()),
                Err(_) => {}
            }
        }
    }

    fn look(&mut self, snapshot: &Snapshot) -> Result<(), AttachError> {
        let sctp = *self.sctp.borrow_and_update();
        let selection = select::select(&self.config, snapshot, &self.devices.served(), sctp);
        let logged = &self.logged;
        for name in selection.missing.difference(logged) {
            warn!(device = name, "device of --devices is not there: it is served when it appears");
        }
        for name in selection.unsuited.difference(logged) {
            warn!(device = name, "device not served: it carries neither Ethernet frames nor bare IP packets");
        }
        self.logged = selection.missing.union(&selection.unsuited).cloned().collect();
        // The verifier and drivers may take a while: the runtime moves the other tasks to another thread.
        block_in_place(|| {
            self.devices.reconcile(selection.devices)?;
            if sctp {
                self.load_own();
            }
            Ok(())
        })
    }

    /// Loads what serves SCTP of the node's own processes. Everything else works without it.
    fn load_own(&mut self) {
        let reason = self.devices.program_set().load(Group::Own).err().map(|error| Report(&error).to_string());
        if let Some(reason) = reason.as_ref().filter(|reason| self.logged_own.as_ref() != Some(reason)) {
            error!(
                reason,
                "degraded: SCTP of the node's own processes reaches no Service; all else is served. Report it with the \
                 kernel's version; until another kernel or release takes these programs, dial from pods"
            );
        }
        self.logged_own = reason;
    }
}

/// Waits until the selection of devices may have changed.
async fn changed(kernel: &mut Watcher, sctp: &mut changes::Receiver<bool>) -> Result<(), KernelError> {
    tokio::select! {
        heard = kernel.changed() => heard,
        // The sender is gone only when the agent ends.
        Ok(()) = sctp.changed() => Ok(()),
    }
}
