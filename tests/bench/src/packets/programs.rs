//! The programs: Waggle's, as the agent has loaded it, and the benchmark's own. Runs them by BPF_PROG_TEST_RUN, which
//! sends nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, ProgramArray},
    programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp, loaded_programs},
};
use nix::net::if_::if_nametoindex;
use proxy_common::{Ipv4ConntrackEntry, Ipv4Tuple};

use super::{
    node::BenchNode,
    walk::{FRAME, Walk},
};

/// The benchmark's own programs.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench-ebpf"));

/// A program that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Does nothing.
    Empty,
    /// Swaps the Ethernet addresses and transmits.
    MacSwap,
    /// Does the least that a forwarder does.
    Floor,
    /// Waggle's XDP program.
    Xdp,
}

impl Program {
    /// All programs, in the order of their numbers.
    const ALL: [(Self, &'static str); 3] =
        [(Self::Empty, "empty"), (Self::MacSwap, "mac_swap"), (Self::Floor, "floor")];
}

/// XDP actions, by the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The packet is dropped.
    Drop = 1,
    /// The packet passes to the stack.
    Pass = 2,
    /// The packet leaves by the device that it came from.
    Transmit = 3,
}

/// The programs in the kernel. Make and use them inside the node's namespace.
pub struct Programs {
    ebpf: Ebpf,
    product: ProgramFd,
    target: ProgramArray<MapData>,
    walk: Array<MapData, Words>,
    ifindex: u32,
}

/// A [`Walk`] as a map's value.
type Words = [u64; 12];
const _: () = assert!(size_of::<Words>() == size_of::<Walk>());

fn words(walk: &Walk) -> Words {
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let [a, b, c, d, e, f, g] = walk.frame;
    let (walking, position) = (pair(walk.flows, walk.step), pair(walk.position, walk.port_shift));
    [a, b, c, d, e, f, g, walking, position, walk.packets, walk.forgets, walk.forgetting]
}

impl Programs {
    /// Loads the benchmark's programs. They share the agent's map of embryonic flows. The floor program's map gets space for
    /// `max_flows` flows.
    pub fn load(node: &BenchNode, max_flows: u32) -> Result<Self> {
        let id = node.program()?;
        let product = loaded_programs().flatten().find(|program| program.id() == id).context("find the XDP program")?;
        let mut loader = EbpfLoader::new();
        loader.map_pin_path("EMBRYONIC_IPV4", node.waggle.pins().join("embryonic_ipv4"));
        loader.map_max_entries("FLOWS", max_flows);
        let mut ebpf = loader.load(OBJECT).context("load the benchmark's programs")?;
        for name in Program::ALL.map(|(_, name)| name).into_iter().chain(["vary"]) {
            xdp(&mut ebpf, name)?.load().with_context(|| format!("load {name}"))?;
        }
        let target = take(&mut ebpf, "TARGET")?.try_into()?;
        let walk = take(&mut ebpf, "WALK")?.try_into()?;
        let ifindex = if_nametoindex("eth0").context("find eth0")?;
        Ok(Self { product: product.fd()?, ebpf, target, walk, ifindex })
    }

    /// The map of flows of [`Program::Floor`].
    pub fn take_flows(&mut self) -> Result<HashMap<MapData, Ipv4Tuple, Ipv4ConntrackEntry>> {
        take(&mut self.ebpf, "FLOWS")?.try_into().context("open FLOWS")
    }

    /// Runs the empty program alone and returns the time of one run.
    pub fn run_alone(&mut self) -> Result<Duration> {
        let options = TestRunOptions { data_in: Some(&[0; FRAME]), repeat: 100_000, ..TestRunOptions::default() };
        Ok(xdp(&mut self.ebpf, "empty")?.test_run(options).context("run empty")?.duration)
    }

    /// Sends the next `repeat` packets of a walk through a program. Returns the time of one packet, which includes making it but
    /// not forgetting its flow. Fails if the action for the last packet is not `action`.
    pub fn run(&mut self, program: Program, walk: &mut Walk, repeat: u32, action: Action) -> Result<Duration> {
        self.aim(program)?;
        self.walk.set(0, words(walk), 0).context("write WALK")?;
        let context = context(FRAME, self.ifindex);
        let options =
            TestRunOptions { data_in: Some(&[0; FRAME]), ctx_in: Some(&context), repeat, ..TestRunOptions::default() };
        let result = xdp(&mut self.ebpf, "vary")?.test_run(options).context("run vary")?;
        let walked = self.walk.get(&0, 0).context("read WALK")?;
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let position = walked[8] as u32;
        walk.position = position;
        if result.return_value != action as u32 {
            bail!("{program:?} ended with the XDP action {}, not {action:?}", result.return_value);
        }
        Ok(result.duration.saturating_sub(Duration::from_nanos(walked[11]) / repeat))
    }

    fn aim(&mut self, program: Program) -> Result<()> {
        let fd = match Program::ALL.iter().find(|(known, _)| *known == program) {
            Some((_, name)) => xdp(&mut self.ebpf, name)?.fd()?,
            None => &self.product,
        };
        self.target.set(0, fd, 0).context("write TARGET")
    }
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).with_context(|| format!("find map {name}"))
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(ebpf.program_mut(name).with_context(|| format!("find program {name}"))?.try_into()?)
}

/// `struct xdp_md`: the packet's length, the device, its first queue.
pub fn context(length: usize, ifindex: u32) -> Vec<u8> {
    let length = u32::try_from(length).expect("a short packet");
    [0, length, 0, ifindex, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect()
}
