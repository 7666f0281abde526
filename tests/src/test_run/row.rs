//! A row of a packet table: Services, earlier packets, one packet in, the expected packet out byte for byte, and the
//! expected change of every counter. A row runs at each hook that sees such a packet, and for both families.

use proxy_common::Counter;

use super::{
    BenchNode, Counts, Device, Hook, Service,
    buckets::BucketFault,
    outcome::{Found, Outcome},
    shared,
};
use crate::{packet::Packet, scene::Family};

/// Something that happens before the packet.
#[derive(Clone, Debug)]
pub enum Step {
    /// A packet arrives from the link of this device.
    Ingress(Device, Packet),
    /// The stack sends a packet to this device.
    Egress(Device, Packet),
    /// These Services, and no others, are in force from now on.
    Serve(Vec<Service>),
    /// From now on the node has rules of policy routing that look at sources.
    Rules,
    /// All flows end.
    Expire,
    /// This many seconds pass without a packet of any flow.
    Idle(i32),
    /// The flow that begins with this packet becomes a foreign one, from before the node had an agent.
    Foreign(Packet),
    /// The agent clears the filter bits that neither Services nor flows need: those of this node port, and others.
    Tidy(u16),
    /// Something happens to the two buckets of this packet's entry.
    InjectFault(Packet, BucketFault),
}

/// A packet that arrives from the link of `eth0`.
pub fn ingress(packet: Packet) -> Step {
    Step::Ingress(Device::Uplink, packet)
}

/// A packet that a pod of the node sends.
pub fn from_pod(packet: Packet) -> Step {
    Step::Ingress(Device::Pod, packet)
}

/// A packet that the stack sends to `eth0`.
pub fn egress(packet: Packet) -> Step {
    Step::Egress(Device::Uplink, packet)
}

/// A row. Its methods fill the columns.
#[derive(Clone, Debug)]
pub struct Row {
    name: &'static str,
    services: Vec<Service>,
    before: Vec<Step>,
    packet: Step,
    outcome: Outcome,
    counts: Vec<(Counter, u64)>,
    flows: Option<(usize, usize)>,
    families: &'static [Family],
    hooks: &'static [Hook],
}

/// A row of this name, which begins with the rule's number. By default the packet passes untouched and no counter
/// moves.
pub fn row(name: &'static str, packet: Step) -> Row {
    let hooks: &[Hook] = match packet {
        Step::Egress(..) => &[Hook::TcEgress],
        Step::Ingress(Device::Pod, _) => &[Hook::TcIngress],
        _ => &[Hook::Xdp, Hook::TcIngress],
    };
    Row {
        name,
        services: Vec::new(),
        before: Vec::new(),
        packet,
        outcome: Outcome::Pass,
        counts: Vec::new(),
        flows: None,
        families: &Family::BOTH,
        hooks,
    }
}

impl Row {
    /// With one more Service in force.
    #[must_use]
    pub fn serving(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// With this before the packet.
    #[must_use]
    pub fn after(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.before.extend(steps);
        self
    }

    /// For this family only.
    #[must_use]
    pub fn only(mut self, family: Family) -> Self {
        self.families = if family == Family::Ipv4 { &[Family::Ipv4] } else { &[Family::Ipv6] };
        self
    }

    /// For this hook only.
    #[must_use]
    pub fn at(mut self, hook: Hook) -> Self {
        self.hooks = match hook {
            Hook::Xdp => &[Hook::Xdp],
            Hook::TcIngress => &[Hook::TcIngress],
            Hook::TcEgress => &[Hook::TcEgress],
        };
        self
    }

    /// It is dropped.
    #[must_use]
    pub fn drops(mut self) -> Self {
        self.outcome = Outcome::Drop;
        self
    }

    /// It goes up the stack, or on egress on its way, as this packet.
    #[must_use]
    pub fn becomes(mut self, packet: Packet) -> Self {
        self.outcome = Outcome::Stack(packet);
        self
    }

    /// It goes up the stack as this packet, with a source port of the node's choice.
    #[must_use]
    pub fn becomes_from_any_port(mut self, packet: Packet) -> Self {
        self.outcome = Outcome::StackFromAnyPort(packet);
        self
    }

    /// It leaves the node at once as this packet, to the next hop.
    #[must_use]
    pub fn leaves_as(mut self, packet: Packet) -> Self {
        self.outcome = Outcome::Forward(packet);
        self
    }

    /// It leaves the node at once as this packet, with a source port of the node's choice.
    #[must_use]
    pub fn leaves_from_any_port_as(mut self, packet: Packet) -> Self {
        self.outcome = Outcome::ForwardFromAnyPort(packet);
        self
    }

    /// Its sender gets this packet in return, by the way that it came.
    #[must_use]
    pub fn is_answered_by(mut self, packet: Packet) -> Self {
        self.outcome = Outcome::Back(packet);
        self
    }

    /// It comes in again as this packet, by `eth0`, as if from the router there.
    #[must_use]
    pub fn redirected_to_ingress_as(mut self, packet: Packet) -> Self {
        self.outcome = Outcome::RedirectToIngress(packet);
        self
    }

    /// Each of these counters moves by one, or by as often as it is named; no other counter moves.
    #[must_use]
    pub fn counts(mut self, counters: &[Counter]) -> Self {
        self.counts.extend(counters.iter().map(|counter| (*counter, 1)));
        self
    }

    /// Afterwards there are this many live entries of assured flows, and this many in EMBRYONIC.
    #[must_use]
    pub fn flows(mut self, assured: usize, embryonic: usize) -> Self {
        self.flows = Some((assured, embryonic));
        self
    }
}

/// Runs the rows one by one.
///
/// # Panics
/// At the end, with every difference between rows and outcomes.
pub fn check_rows(rows: Vec<Row>) {
    let wanted = std::env::var("WAGGLE_ROW").unwrap_or_default();
    let shared = shared();
    let mut node = shared.lock();
    let mut faults = Vec::new();
    for row in rows.into_iter().filter(|row| row.name.contains(&wanted)) {
        for family in row.families {
            for hook in row.hooks {
                if let Err(fault) = row.check(&mut node, *family, *hook) {
                    faults.push(format!("{} ({family:?}, {hook:?}): {fault}", row.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} rows differ\n\n{}\n", faults.len(), faults.join("\n\n"));
}

impl Row {
    fn check(&self, node: &mut BenchNode, family: Family, hook: Hook) -> Result<(), String> {
        node.state().forget();
        node.set_source_rules(false);
        node.serve(&self.services);
        let story: Vec<String> = self.before.iter().map(|step| play(node, step, family, hook)).collect();
        let before = node.state().counts();
        let (Step::Ingress(device, packet) | Step::Egress(device, packet)) = &self.packet else {
            return Err("the row has no packet".into());
        };
        let (action, out) = node.run(hook, *device, packet, family);
        let counts = node.state().counts_since(&before);
        let found = Found { hook, device: *device, family, action, out };
        let mut faults = Vec::new();
        faults.extend(found.compare(packet, &self.outcome).err());
        faults.extend(self.compare_counts(&counts).err());
        let flows = (node.state().live(), node.state().embryonic().len());
        if let Some(wanted) = self.flows.filter(|wanted| *wanted != flows) {
            faults.push(format!("assured and embryonic entries: {flows:?}, not {wanted:?}"));
        }
        if faults.is_empty() { Ok(()) } else { Err(format!("{}\n  before: {story:?}", faults.join("\n  "))) }
    }

    fn compare_counts(&self, found: &Counts) -> Result<(), String> {
        let mut wanted = Counts::new();
        for (counter, count) in &self.counts {
            *wanted.entry(*counter).or_default() += count;
        }
        if *found == wanted { Ok(()) } else { Err(format!("counters moved by {found:?}, not {wanted:?}")) }
    }
}

/// Carries out a step; `hook` is the one that sees packets that arrive. Returns the outcome as text.
pub fn play(node: &mut BenchNode, step: &Step, family: Family, hook: Hook) -> String {
    const LONG: u32 = 1000;
    let before = node.state().counts();
    let ingress = if hook == Hook::TcEgress { Hook::Xdp } else { hook };
    let action = match step {
        Step::Ingress(Device::Pod, packet) => node.run(Hook::TcIngress, Device::Pod, packet, family).0,
        Step::Ingress(device, packet) => node.run(ingress, *device, packet, family).0,
        Step::Egress(device, packet) => node.run(Hook::TcEgress, *device, packet, family).0,
        Step::Serve(services) => {
            node.serve(services);
            return "other services".into();
        }
        Step::Rules => {
            node.set_source_rules(true);
            return "rules".into();
        }
        Step::Expire => {
            node.state().expire_flows();
            return "flows end".into();
        }
        Step::Idle(seconds) => {
            node.state().idle(*seconds);
            return format!("{seconds} s go by");
        }
        Step::Tidy(port) => {
            node.tidy(*port);
            return "filters are tidied".into();
        }
        Step::InjectFault(packet, fault) => {
            node.state().inject_fault(&packet.tuple(family), *fault);
            return format!("{fault:?}");
        }
        Step::Foreign(packet) => {
            node.state().set_foreign(packet.tuple(family), LONG);
            return "the flow is foreign".into();
        }
    };
    format!("{action:?} {:?}", node.state().counts_since(&before))
}
