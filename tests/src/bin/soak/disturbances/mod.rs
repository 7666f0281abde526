//! Disturbances of an agent, its API server and its machine. Each ends with an agent that serves.

mod agent;
mod api;
mod machine;

use std::time::Duration;

use clap::ValueEnum;
use harness::objects::{Cluster as _, service, slice};

use crate::node::Node;

/// A kind of disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Disturbance {
    /// SIGKILL, changes without an agent, and a start
    Kill,
    /// SIGTERM, changes without an agent, and a start
    Terminate,
    /// A start that is killed at a random moment, and another start
    DieStarting,
    /// A start with other sizes of maps
    Resize,
    /// An upgrade to a release whose maps have another layout, and back
    OtherLayout,
    /// A start with another device mode
    SwitchMode,
    /// A start from the other source: API server or folder
    SwitchSource,
    /// The API server goes away, everything changes, and it comes back
    Outage,
    /// A start while the API server is away
    StartInOutage,
    /// Events arrive late and in small pieces
    LateEvents,
    /// Watches begin with events that were seen before
    DoubledEvents,
    /// Services change long before their EndpointSlices arrive
    ReorderedEvents,
    /// The API server has forgotten what happened since the last event
    Gone,
    /// More Services than the maps have room for
    FullMaps,
    /// A Service with so many backends that maps have to grow; sometimes the agent dies meanwhile
    Growth,
    /// The file system with the allocations is full
    FullDisk,
    /// Another program is attached to the same hook of a device, and detached
    ForeignProgram,
    /// A device comes and goes
    DeviceFlap,
    /// Addresses come and go
    AddressFlap,
    /// Rules that track connections and translate addresses come, and go by `nft flush ruleset`
    FlushRules,
}

impl Disturbance {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Causes the disturbance.
    pub fn happen(self, node: &mut Node<'_>) -> anyhow::Result<()> {
        match self {
            Self::Kill => agent::kill(node),
            Self::Terminate => agent::terminate(node),
            Self::DieStarting => agent::die_starting(node),
            Self::Resize => agent::resize(node),
            Self::OtherLayout => agent::other_layout(node),
            Self::SwitchMode => agent::switch_mode(node),
            Self::SwitchSource => agent::switch_source(node),
            Self::Outage => api::outage(node),
            Self::StartInOutage => api::start_in_outage(node),
            Self::LateEvents => api::late_events(node),
            Self::DoubledEvents => api::doubled_events(node),
            Self::ReorderedEvents => api::reordered_events(node),
            Self::Gone => api::gone(node),
            Self::FullMaps => agent::full_maps(node),
            Self::Growth => agent::growth(node),
            Self::FullDisk => agent::full_disk(node),
            Self::ForeignProgram => machine::foreign_program(node),
            Self::DeviceFlap => {
                machine::device_flap(node);
                Ok(())
            }
            Self::AddressFlap => {
                machine::address_flap(node);
                Ok(())
            }
            Self::FlushRules => machine::flush_rules(node),
        }
    }
}

/// Up to half a second.
fn moment(node: &mut Node<'_>) -> Duration {
    Duration::from_millis(node.random.u64(0..500))
}

/// How the names of Services begin that only need room.
pub const FILLER: &str = "filler-";

/// Adds Services with a backend.
fn fill(node: &Node<'_>, count: u8) {
    for number in 0..count {
        let name = format!("{FILLER}{number}");
        let address = format!("10.96.1.{}", number + 1);
        node.objects.put(&service(&name).cluster_ip(&address).named_port("tcp", "TCP", 80, 8080).build());
        node.objects.put(&slice(&name).named_port("tcp", "TCP", 8080).pod(node.outside.scene.pod(1)).build());
    }
}

/// Removes the Services that `fill` has added.
fn empty(node: &Node<'_>, count: u8) {
    for number in 0..count {
        let name = format!("{FILLER}{number}");
        node.objects.delete("Service", "default", &name);
        node.objects.delete("EndpointSlice", "default", &name);
    }
}
