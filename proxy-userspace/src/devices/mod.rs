//! Follows the devices of the network namespace that the agent runs in, and keeps programs on those that are wanted.
//! Which these are is `select`'s decision; what is done to each is `serve`'s.

mod doubt;
mod outcome;
mod select;
mod serve;

use std::{collections::BTreeSet, convert::Infallible, error::Error, time::Duration};

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

use self::serve::Devices;
use crate::{
    attach::{self, AttachError, Group, Supply},
    config::devices::{DeviceArgs, DeviceMode},
    maps::{self, MapsError, PinFolder},
    node::rtnetlink::{KernelError, Snapshot, Watcher},
};

/// The least time between two looks at the kernel. The first change after a calm never waits.
const GATHER: Duration = Duration::from_millis(20);
/// How long to wait before a lost connection is made again.
const RECONNECT: Duration = Duration::from_secs(1);
/// How long until a device that could not be served, or not well, or has lost a program is looked at again without a change.
const RETRY: Duration = Duration::from_secs(10);

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

/// The programs that a start needs: for what it finds, and on devices that an earlier agent has served. Others are loaded
/// when something needs them.
pub async fn groups(args: &DeviceArgs, folder: &PinFolder) -> Result<Vec<Group>, DevicesError> {
    if args.device_mode == DeviceMode::Off {
        return Ok(vec![Group::Sockets]);
    }
    let snapshot = Watcher::start()?.snapshot().await?;
    let mut groups = attach::device::groups(folder)?;
    groups.extend([Group::Sockets, Group::Tc]);
    let found = select::wanted(args, &snapshot, &BTreeSet::new(), false);
    groups.extend(found.devices.values().flat_map(|target| target.groups(args.device_mode)));
    Ok(groups.into_iter().collect())
}

/// Those of them without which a start must fail, so that what served before goes on.
pub const fn needed(args: &DeviceArgs) -> &'static [Group] {
    match args.device_mode {
        DeviceMode::Off => &[Group::Sockets],
        DeviceMode::Auto | DeviceMode::Tc => &[Group::Sockets, Group::Tc],
        // Nothing takes XDP's place unasked.
        DeviceMode::Xdp | DeviceMode::XdpGeneric => &[Group::Sockets, Group::Tc, Group::Xdp],
    }
}

/// Programs, and the devices that they are on.
pub struct Follower {
    args: DeviceArgs,
    devices: Devices,
    /// Whether there are SCTP Services.
    sctp: changes::Receiver<bool>,
    /// Names that have been told as missing or unsuited.
    told: BTreeSet<String>,
    /// Why SCTP of the node's own processes is not served, as it has been told.
    told_of_own: Option<String>,
}

impl Follower {
    /// Attaches nothing yet. `sctp`: whether there are SCTP Services.
    pub fn new(
        supply: Supply,
        folder: PinFolder,
        args: DeviceArgs,
        sctp: changes::Receiver<bool>,
    ) -> Result<Self, DevicesError> {
        let map: HashMap<MapData, u32, Device> = maps::open(&folder, "DEVICES")?;
        let devices = Devices::new(supply, map, folder, &args);
        Ok(Self { args, devices, sctp, told: BTreeSet::new(), told_of_own: None })
    }

    /// The eBPF object.
    pub const fn ebpf(&mut self) -> &mut Ebpf {
        self.devices.supply().ebpf()
    }

    /// Puts the programs on every wanted device that is there, and takes them from others that an earlier agent has
    /// served.
    pub async fn start(&mut self) -> Result<(), DevicesError> {
        if self.args.device_mode == DeviceMode::Off {
            info!("no device is served: packets from outside the node are not this agent's");
        }
        let snapshot = Watcher::start()?.snapshot().await?;
        Ok(self.look(&snapshot)?)
    }

    /// Follows changes for ever. A connection that is lost is logged and made again.
    pub async fn follow(mut self) {
        if self.args.device_mode == DeviceMode::Off {
            return;
        }
        loop {
            let Err(error) = self.follow_connected().await;
            warn!(error = &error as &dyn Error, "new devices may go unserved; trying again");
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
                // Asks the kernel for each device's programs.
                Err(_) if block_in_place(|| self.devices.is_unsettled()) => return Ok(()),
                Err(_) => {}
            }
        }
    }

    fn look(&mut self, snapshot: &Snapshot) -> Result<(), AttachError> {
        let sctp = *self.sctp.borrow_and_update();
        let wanted = select::wanted(&self.args, snapshot, &self.devices.served(), sctp);
        let told = &self.told;
        for name in wanted.missing.difference(told) {
            warn!(device = name, "a device that --devices names is not there: it is served when it appears");
        }
        for name in wanted.unsuited.difference(told) {
            warn!(device = name, "device not served: it carries no Ethernet frames, and no bare IP packets");
        }
        self.told = wanted.missing.union(&wanted.unsuited).cloned().collect();
        // The verifier and drivers may take a while; the other tasks move to another thread meanwhile.
        block_in_place(|| {
            self.devices.reconcile(wanted.devices)?;
            if sctp {
                self.load_own();
            }
            Ok(())
        })
    }

    /// Loads what serves SCTP of the node's own processes. All else goes on without.
    fn load_own(&mut self) {
        let reason = self.devices.supply().load(Group::Own).err().map(|error| error.to_string());
        if let Some(reason) = reason.as_ref().filter(|reason| self.told_of_own.as_ref() != Some(reason)) {
            error!(
                reason,
                "degraded: SCTP of the node's own processes reaches no Service; all else is served. Report it with the \
                 kernel's version; until another kernel or release takes these programs, dial from pods"
            );
        }
        self.told_of_own = reason;
    }
}

/// Waits until other devices may be wanted.
async fn changed(kernel: &mut Watcher, sctp: &mut changes::Receiver<bool>) -> Result<(), KernelError> {
    tokio::select! {
        heard = kernel.changed() => heard,
        // Nobody is left to say it when the agent ends.
        Ok(()) = sctp.changed() => Ok(()),
    }
}
