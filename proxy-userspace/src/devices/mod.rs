//! Follows the devices of the agent's network namespace, and keeps programs attached to the selected ones. `select.rs` decides
//! which devices these are; `serve.rs` attaches the programs.

mod following;
mod hooks;
mod outcome;
pub mod preview;
mod room;
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

/// The least time between two snapshots of the kernel's state. The first change after a quiet time is handled at once.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// How long to wait before a lost netlink connection is reopened.
const RECONNECT: Duration = Duration::from_secs(1);
/// How often devices are checked without a change. A device is then served again if it could not be served, or not well, or has
/// lost a program.
const RETRY: Duration = Duration::from_secs(10);

/// Decides which devices of a snapshot are served, for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_selection(snapshot: &Snapshot) {
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

/// Returns the groups of programs that a start needs: for the selected devices, and for those that an earlier agent has served.
/// Other groups are loaded when a device needs them.
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

/// Returns the groups without which a start must fail, so that an earlier agent's programs stay attached.
pub const fn needed(config: &DeviceConfig) -> &'static [Group] {
    match config.mode {
        DeviceMode::Off => &[Group::Sockets],
        DeviceMode::Auto | DeviceMode::Tc => &[Group::Sockets, Group::Tc],
        // XDP was asked for explicitly, so TC must not replace it.
        DeviceMode::Xdp | DeviceMode::XdpGeneric => &[Group::Sockets, Group::Tc, Group::Xdp],
    }
}

/// Follows the devices, and keeps programs attached to them.
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
    /// Returns a follower that has attached nothing yet. `sctp` says whether there are SCTP Services. Devices that can't be served
    /// are noted in `missing`.
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

    /// Returns the eBPF object.
    pub const fn ebpf(&mut self) -> &mut Ebpf {
        self.devices.program_set().ebpf()
    }

    /// Attaches the programs to every selected device, and detaches them from other devices that an earlier agent has
    /// served.
    pub async fn start(&mut self) -> Result<(), DevicesError> {
        if self.config.mode == DeviceMode::Off {
            info!("no device is served: packets from outside the node pass untouched");
        }
        self.serve_once().await
    }

    async fn serve_once(&mut self) -> Result<(), DevicesError> {
        let snapshot = Watcher::start()?.snapshot().await?;
        Ok(self.serve(&snapshot)?)
    }

    /// Gives every served device the programs of another set, each hook atomically. Returns the previous set.
    pub async fn renew(&mut self, program_set: ProgramSet) -> Result<ProgramSet, DevicesError> {
        let before = self.devices.renew(program_set);
        self.serve_once().await.map(|()| before)
    }

    /// Returns the groups of programs that a set inside a running agent needs: those of a start, and those for SCTP of the node's
    /// own processes if there are SCTP Services.
    pub async fn groups(
        config: &DeviceConfig,
        folder: &PinFolder,
        sctp: &changes::Receiver<bool>,
    ) -> Result<Vec<Group>, DevicesError> {
        let mut groups = groups(config, folder).await?;
        groups.extend((*sctp.borrow() && config.mode != DeviceMode::Off).then_some(Group::Own));
        Ok(groups)
    }

    /// Follows changes for ever. Logs and reopens a lost netlink connection.
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
            self.serve(&kernel.snapshot().await?)?;
            sleep(DEBOUNCE).await;
            self.wait(&mut kernel).await?;
        }
    }

    /// Waits until there is a reason to check devices again.
    async fn wait(&mut self, kernel: &mut Watcher) -> Result<(), KernelError> {
        loop {
            match timeout(RETRY, changed(kernel, &mut self.sctp)).await {
                Ok(result) => return result,
                // Blocks: the check asks the kernel for each device's programs.
                Err(_) if block_in_place(|| self.devices.is_unsettled()) => return Ok(()),
                Err(_) => {}
            }
        }
    }

    fn serve(&mut self, snapshot: &Snapshot) -> Result<(), AttachError> {
        let sctp = *self.sctp.borrow_and_update();
        let selection = select::select(&self.config, snapshot, &self.devices.served(), sctp);
        let logged = &self.logged;
        for name in selection.missing.difference(logged) {
            warn!(device = name, "device of --devices does not exist: it will be served when it appears");
        }
        for name in selection.unsuited.difference(logged) {
            warn!(device = name, "device not served: it carries neither Ethernet frames nor bare IP packets");
        }
        self.logged = selection.missing.union(&selection.unsuited).cloned().collect();
        // Blocks: the verifier and drivers may take a while.
        block_in_place(|| {
            self.devices.reconcile(selection.devices)?;
            if sctp {
                self.load_own();
            }
            Ok(())
        })
    }

    /// Loads the programs that serve SCTP of the node's own processes. Everything else works without them.
    fn load_own(&mut self) {
        let reason = self.devices.program_set().load(Group::Own).err().map(|error| Report(&error).to_string());
        if let Some(reason) = reason.as_ref().filter(|reason| self.logged_own.as_ref() != Some(reason)) {
            error!(
                reason,
                "degraded: SCTP of the node's own processes reaches no Service; everything else is served. Please report this \
                 with the kernel's version; SCTP from pods is not affected"
            );
        }
        self.logged_own = reason;
    }
}

/// Waits until the selection of devices may have changed.
async fn changed(kernel: &mut Watcher, sctp: &mut changes::Receiver<bool>) -> Result<(), KernelError> {
    tokio::select! {
        result = kernel.changed() => result,
        // The sender is dropped only when the agent ends.
        Ok(()) = sctp.changed() => Ok(()),
    }
}
