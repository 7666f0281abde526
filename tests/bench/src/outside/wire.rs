//! The two ends of a flood: the sender, which uses test runs with live frames, and the program that takes packets off
//! a wire and counts them.

use std::{
    ffi::c_int,
    io,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapData},
    programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use harness::lab::Netns;
use nix::{
    net::if_::if_nametoindex,
    sys::{
        pthread::{pthread_kill, pthread_self},
        signal::Signal,
    },
    unistd::gettid,
};
use signal_hook::flag;

use super::{
    poller::put_first,
    shared::{Arrivals, FRAME, Flood},
};
use crate::{
    client::pin,
    packets::{OBJECT, context},
};

/// Packets that are sent to a device at once: as many as it polls at once.
const BATCH: u32 = 256;
/// The number of packets of a trial, which measures the time for one.
const TRIAL: u32 = 500 * BATCH;

/// The signal that ends a flood.
const STOP: Signal = Signal::SIGUSR1;

/// [`Flood`] and [`Arrivals`] as maps' values.
type FloodWords = [u64; FRAME / 8 + 3];
type ArrivalWords = [u64; 2];
const _: () = assert!(size_of::<FloodWords>() == size_of::<Flood>());
const _: () = assert!(size_of::<ArrivalWords>() == size_of::<Arrivals>());

/// Sends a flood by a device.
pub struct Sender {
    ebpf: Ebpf,
    state: Array<MapData, FloodWords>,
    frame: [u64; FRAME / 8],
    netns: Netns,
    ifindex: u32,
}

impl Sender {
    /// Prepares to send a flood by `device` of a namespace; `frame` is the packet of the first flow.
    pub fn load(netns: &Netns, device: &str, frame: &[u64; FRAME / 8]) -> Result<Self> {
        // The signal interrupts the call, and that is enough; the flag is not read.
        flag::register(STOP as c_int, Arc::default()).context("catch SIGUSR1")?;
        let mut ebpf = load("flood")?;
        let state = ebpf.take_map("FLOOD").context("find map FLOOD")?.try_into()?;
        let ifindex = netns.inside(|| if_nametoindex(device))?.with_context(|| format!("find {device}"))?;
        Ok(Self { ebpf, state, frame: *frame, netns: netns.clone(), ifindex })
    }

    /// Sends on `cpu` for `warm_up` and `duration`, and calls `look` at the end of each. First a trial sends as fast as it can,
    /// to find the rate that `count` counts. The flood has `overload` times that rate.
    ///
    /// A single test run sends the whole flood, since the node would be idle for long between two. A signal ends it,
    /// since the machine's speed may change after the trial.
    pub fn send<T: Send>(
        &mut self,
        cpu: usize,
        overload: f64,
        [warm_up, duration]: [Duration; 2],
        count: impl Fn() -> Result<u64> + Sync,
        look: impl Fn() -> Result<T> + Sync,
    ) -> Result<(T, T)> {
        let netns = self.netns.clone();
        netns.inside(|| {
            pin(cpu);
            put_first(gettid(), 1)?;
            let before = count()?;
            let time = self.run(TRIAL, Duration::ZERO)?;
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 packets")]
            let gap = time.div_f64((count()? - before).max(1) as f64 * overload);
            let sender = pthread_self();
            let ready = Barrier::new(2);
            thread::scope(|scope| {
                let looking = scope.spawn(|| {
                    // This thread sleeps most of the time, but must not wait for the sender when it wakes.
                    pin(cpu);
                    let first = put_first(gettid(), 2);
                    ready.wait();
                    first?;
                    thread::sleep(warm_up);
                    let looked = look().and_then(|first| {
                        thread::sleep(duration);
                        Ok((first, look()?))
                    });
                    pthread_kill(sender, STOP).context("stop the flood")?;
                    looked
                });
                ready.wait();
                let sent = self.run(u32::MAX, gap);
                let looked = looking.join().expect("looking does not panic")?;
                match sent {
                    Err(error) if is_interrupted(&error) => Ok(looked),
                    Err(error) => Err(error),
                    Ok(_) => bail!("the flood has ended too early"),
                }
            })
        })?
    }

    /// Sends packets, one each `gap`, and returns how long that took.
    fn run(&mut self, packets: u32, gap: Duration) -> Result<Duration> {
        let mut words = [0; FRAME / 8 + 3];
        words[..FRAME / 8].copy_from_slice(&self.frame);
        words[FRAME / 8 + 1] = u64::try_from(gap.as_nanos())?;
        self.state.set(0, words, 0).context("write FLOOD")?;
        let context = context(FRAME, self.ifindex);
        let options = TestRunOptions {
            data_in: Some(&[0; FRAME]),
            ctx_in: Some(&context),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        };
        let result = xdp(&mut self.ebpf, "flood")?.test_run(options).context("run flood")?;
        Ok(result.duration * packets)
    }
}

fn is_interrupted(error: &anyhow::Error) -> bool {
    let system = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    system.is_some_and(|error| error.kind() == io::ErrorKind::Interrupted)
}

/// Takes packets off a wire.
pub struct Sink {
    _ebpf: Ebpf,
    state: Array<MapData, ArrivalWords>,
}

impl Sink {
    /// Attaches the program to `device`, the wire's end in a namespace, in place of the program that is there.
    pub fn attach(netns: &Netns, device: &str) -> Result<Self> {
        netns.batch(&[format!("link set dev {device} xdp off")])?;
        let mut ebpf = load("arrive")?;
        let attach = || xdp(&mut ebpf, "arrive")?.attach(device, XdpMode::Driver).context("attach arrive");
        netns.inside(attach)??;
        let state = ebpf.take_map("ARRIVALS").context("find map ARRIVALS")?.try_into()?;
        Ok(Self { _ebpf: ebpf, state })
    }

    /// Sets whether IPv4 packets are dropped, and counts from 0 again.
    pub fn set_ends(&mut self, ends: bool) -> Result<()> {
        self.state.set(0, [ends.into(), 0], 0).context("write ARRIVALS")
    }

    /// The number of packets that were dropped.
    pub fn count(&self) -> Result<u64> {
        Ok(self.state.get(&0, 0).context("read ARRIVALS")?[1])
    }
}

/// The benchmark's programs with one of them loaded; their copies of the agent's maps are not used.
fn load(program: &str) -> Result<Ebpf> {
    let mut loader = EbpfLoader::new();
    for map in ["FLOWS", "EMBRYONIC_IPV4"] {
        loader.map_max_entries(map, 1024);
    }
    let mut ebpf = loader.load(OBJECT).context("load the benchmark's programs")?;
    xdp(&mut ebpf, program)?.load().with_context(|| format!("load {program}"))?;
    Ok(ebpf)
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(ebpf.program_mut(name).with_context(|| format!("find program {name}"))?.try_into()?)
}
