//! A bench for the packet programs: a node in one namespace. Its programs run packet by packet with BPF_PROG_TEST_RUN,
//! over maps that the agent's own writer fills from Services. The programs' clock stands still, and moves only when a
//! test says so ([`State::idle`]), so that no result depends on how fast packets are sent. Needs root. Everything is
//! removed when it is dropped, panics included. It must not know what a test wants to prove.

#![expect(clippy::missing_panics_doc, reason = "a bench that can't be made or read fails its test")]

mod buckets;
mod devices;
pub mod model;
mod outcome;
pub mod places;
mod programs;
mod row;
mod service;
mod shared;
mod state;

use std::{
    fs::File,
    net::IpAddr,
    os::fd::OwnedFd,
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use aya::programs::ProgramError;
use nix::sched::{CloneFlags, setns};
use proxy_common::{Phase, Stage};
use proxy_userspace::{
    apply::Dataplane,
    config::{DataplaneConfig, FlowConfig, MapSizes},
    desired::plan::plan,
    node::{jiffies, snat_ports::SnatPorts},
    succession::loader::{self, Instance, Loaded},
};

use self::programs::Programs;
pub use self::{
    buckets::BucketFault,
    outcome::hex,
    places::{Device, Member},
    programs::{Action, Hook},
    row::{Row, Step, check_rows, egress, from_pod, ingress, play, row},
    service::{Service, service, table},
    shared::{Shared, shared, shared_second},
    state::{Counts, State, age_clients, open},
};
use crate::{
    lab::{Lab, Netns},
    packet::Packet,
    scene::Family,
};

/// Sizes of maps that are enough for a table of tests, and quickly made.
pub const SIZES: MapSizes = MapSizes {
    services: 256,
    service_ids: 8192,
    slots: 65_536,
    backends: 4096,
    members: 256,
    networks: 64,
    affinity: 1024,
    socket_flows: 16,
    socket_connections: 16,
    conntrack: 256,
    embryonic: 4096,
    fragments: 1024,
    source_ranges: 256,
};

/// A node with loaded programs. Its fields are dropped in this order.
pub struct BenchNode {
    member: Member,
    programs: Programs,
    dataplane: Dataplane,
    state: State,
    /// The stages whose programs have been removed.
    damaged: Vec<Stage>,
    /// The ports of source translation at the start.
    ports: SnatPorts,
    _lock: Instance,
    netns: Netns,
    home: OwnedFd,
    _lab: Lab,
}

impl BenchNode {
    /// Makes the node, without Services. `name` is for people who look at the machine while it exists.
    pub fn new(name: &str) -> Self {
        Self::with_sizes(name, &SIZES)
    }

    /// Makes a node with the limit of refusals that an agent has by default.
    pub fn limited(name: &str) -> Self {
        Self::make(name, Member::First, &SIZES, FlowConfig::DEFAULT)
    }

    /// Makes a node with other map sizes.
    pub fn with_sizes(name: &str, sizes: &MapSizes) -> Self {
        Self::make(name, Member::First, sizes, UNLIMITED)
    }

    fn make(name: &str, member: Member, sizes: &MapSizes, flows: FlowConfig) -> Self {
        let home = File::open("/proc/thread-self/ns/net").expect("open this thread's namespace").into();
        let lab = Lab::new(name).expect("make a lab");
        let netns = lab.namespace("bench").expect("make a namespace");
        devices::create(&netns, member).expect("make devices");
        // Never 0, which would make the clock run.
        let clock = jiffies::now().expect("read the clock") | 1;
        let mut constants = flows.constants().expect("make the programs' constants");
        constants.push(("STOPPED_AT", clock));
        let config = DataplaneConfig {
            instance: format!("{}-bench", lab.id()),
            cgroup: PathBuf::new(),
            sizes: sizes.clone(),
            constants,
            log_level: 0,
        };
        let inside = Inside::enter(&netns, &home);
        let (lock, Loaded { set, maps, .. }) = loader::load(&config).expect("load the object");
        let (ebpf, folder) = (set.ebpf, set.succession.folder().clone());
        let programs = Programs::load(ebpf, &folder).expect("load the programs");
        let ports = SnatPorts::read().expect("read the ephemeral ports");
        let dataplane = Dataplane::new(maps, ports.clone());
        drop(inside);
        let mut state = State::open(&folder, clock).expect("open the maps");
        state.set_devices(Device::OUTSIDE.map(|device| programs.index(device)), programs.index(Device::Pod));
        let damaged = Vec::new();
        let mut node = Self { member, programs, dataplane, state, damaged, ports, _lock: lock, netns, home, _lab: lab };
        node.set_node_addresses(true);
        node.serve(&[]);
        node
    }

    /// Damages the maps: removes the program of a stage.
    pub fn damage_stage(&mut self, stage: Stage) {
        self.state.damage_stage(stage);
        self.damaged.push(stage);
    }

    /// Removes all Services and flows.
    fn renew(&mut self) {
        for stage in std::mem::take(&mut self.damaged) {
            for (hook, program) in self.programs.of_stage(stage).into_iter().enumerate() {
                program.inspect(|program| self.state.repair_stage(stage, hook, program));
            }
        }
        self.state.set_phase(Phase::Alone);
        self.dataplane.set_snat(self.ports.clone());
        self.set_node_addresses(true);
        self.serve(&[]);
        self.state.forget();
    }

    /// Gives the node its own addresses, which forwarded packets have as their source, or removes them.
    pub fn set_node_addresses(&mut self, present: bool) {
        let address = |family| present.then(|| self.member.node().address(family));
        let (v4, v6) = (address(Family::Ipv4), address(Family::Ipv6));
        let v4 = v4.and_then(|address| if let IpAddr::V4(v4) = address { Some(v4) } else { None });
        let v6 = v6.and_then(|address| if let IpAddr::V6(v6) = address { Some(v6) } else { None });
        self.dataplane.set_node_addresses(v4, v6).expect("write the node's addresses");
    }

    /// Puts these Services, and no others, in force.
    pub fn serve(&mut self, services: &[Service]) {
        let wanted = table(services, self.member.node());
        let outcome = self.dataplane.apply(plan(self.dataplane.table(), &wanted));
        assert!(outcome.refused.is_empty() && outcome.refused_networks.is_empty(), "{outcome:?}");
    }

    /// Sets whether rules of policy routing look at sources. The node has no such rules: its routes stay as they are.
    pub fn set_source_rules(&mut self, has_source_rules: bool) {
        self.dataplane.set_source_rules(has_source_rules);
    }

    /// Clears the bits of the filters that neither Services nor flows need, until node port `port` has none: neither
    /// may need that.
    pub fn tidy(&mut self, port: u16) {
        let end = Instant::now() + Duration::from_secs(30);
        while self.state.is_node_port(port) {
            assert!(Instant::now() < end, "node port {port} is still in PORT_FILTER");
            self.dataplane.tidy();
            sleep(Duration::from_millis(10));
        }
    }

    /// Runs a program on a packet that comes from `device`, or on egress is sent to it.
    pub fn run(&mut self, hook: Hook, device: Device, packet: &Packet, family: Family) -> (Action, Vec<u8>) {
        self.run_frame(hook, device, &packet.bytes(family))
    }

    /// Runs a program on a frame.
    pub fn run_frame(&mut self, hook: Hook, device: Device, frame: &[u8]) -> (Action, Vec<u8>) {
        self.try_frame(hook, device, frame).expect("the kernel takes the frame")
    }

    /// Runs a program on a frame that may be too short for the kernel to make a packet of: less than an Ethernet
    /// header, or, for TC, less than the network header that it announces. `None` then.
    pub fn try_frame(&mut self, hook: Hook, device: Device, frame: &[u8]) -> Option<(Action, Vec<u8>)> {
        let _inside = Inside::enter(&self.netns, &self.home);
        taken(self.programs.run(hook, device, frame))
    }

    /// Runs the XDP program on a frame that arrives in pieces, the first of `first` bytes. `None` if the kernel can't,
    /// as before 6.18.
    pub fn try_pieces(&mut self, device: Device, frame: &[u8], first: usize) -> Option<(Action, Vec<u8>)> {
        let _inside = Inside::enter(&self.netns, &self.home);
        taken(self.programs.run_pieces(device, frame, first))
    }

    /// Reserves ports for the host, in the form of the sysctls `ip_local_port_range` and `ip_local_reserved_ports`.
    pub fn keep_ports(&mut self, range: &str, reserved: &str) {
        self.dataplane.set_snat(SnatPorts::parse(range, reserved).expect("these are ports"));
    }

    /// Runs `work` in the node's namespace.
    pub fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = Inside::enter(&self.netns, &self.home);
        work()
    }

    /// The maps that the programs write.
    pub fn state(&mut self) -> &mut State {
        &mut self.state
    }
}

/// The outcome of a frame; `None` if the kernel does not take it.
fn taken(outcome: Result<(Action, Vec<u8>), ProgramError>) -> Option<(Action, Vec<u8>)> {
    match outcome {
        Err(ProgramError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::EINVAL) => None,
        outcome => Some(outcome.expect("run the program")),
    }
}

/// Flows without a limit on refusals.
const UNLIMITED: FlowConfig = FlowConfig { reject_rate: 0, ..FlowConfig::DEFAULT };

/// Keeps this thread inside a namespace, until dropped.
struct Inside<'a> {
    home: &'a OwnedFd,
}

impl<'a> Inside<'a> {
    fn enter(netns: &Netns, home: &'a OwnedFd) -> Self {
        setns(netns.descriptor(), CloneFlags::CLONE_NEWNET).expect("enter the namespace");
        Self { home }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        setns(self.home, CloneFlags::CLONE_NEWNET).expect("leave the namespace");
    }
}
