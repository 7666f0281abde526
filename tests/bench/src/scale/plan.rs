//! How much is measured, with `--quick` or without.

use std::time::Duration;

/// Memory that the API server and the agent may need for an endpoint, and for a Service, in bytes: a generous guess.
const MEMORY: (u64, u64) = (4_096, 16_384);

/// A number of Services, all with the same number of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The number of Services, beside the measured one.
    pub services: u32,
    /// The number of endpoints of each.
    pub endpoints: u32,
}

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The size of an idle node's cluster.
    pub idle: Size,
    /// The size whose memory has a bar of its own, beside that of the large one.
    pub small: Size,
    /// The size at which changes are timed, and starts.
    pub large: Size,
    /// The sizes at which a change's processor time is measured.
    pub costs: Vec<Size>,
    /// The size that each of them is compared with, in turns.
    pub reference: Size,
    /// The number of changes that are timed while nothing else changes.
    pub effects: u32,
    /// The number of changes that are timed while others change.
    pub churned_effects: u32,
    /// Other changes per second at the same time.
    pub churn: u32,
    /// The number of blocks of changes whose processor time is measured.
    pub blocks: u32,
    /// The number of changes of a block.
    pub block: u32,
    /// How long an agent at rest is watched.
    pub rest: Duration,
}

impl Size {
    /// All endpoints.
    pub const fn all_endpoints(self) -> u32 {
        self.services * self.endpoints
    }

    /// Whether `available` bytes of memory are enough.
    pub fn fits(self, available: u64) -> bool {
        let (endpoint, service) = MEMORY;
        u64::from(self.all_endpoints()) * endpoint + u64::from(self.services) * service <= available
    }

    /// The agent's flags: maps may become as large as this size needs, with a reserve for replacements.
    pub fn flags(self) -> Vec<String> {
        let mut flags = vec!["--device-mode".into(), "off".into()];
        for (flag, least, need) in [
            ("--max-services", 65_536, self.services),
            ("--max-service-ports", 32_768, self.services),
            // Each ClusterIP is one: the cluster has no ServiceCIDR object.
            ("--max-networks", 65_536, self.services),
            ("--max-backends", 1 << 18, self.all_endpoints()),
            ("--max-slots", 1 << 20, self.all_endpoints()),
        ] {
            if need.saturating_mul(4) > least * 3 {
                flags.extend([flag.into(), (need * 2).next_power_of_two().to_string()]);
            }
        }
        flags
    }
}

impl Plan {
    /// The plan that the bars are for.
    pub fn full() -> Self {
        let size = |services| Size { services, endpoints: 10 };
        Self {
            idle: size(10),
            small: size(1_000),
            large: size(10_000),
            costs: [100, 1_000, 10_000, 30_000, 100_000].map(size).to_vec(),
            reference: size(100),
            effects: 2_000,
            churned_effects: 1_000,
            churn: 500,
            blocks: 80,
            block: 25,
            rest: Duration::from_mins(1),
        }
    }

    /// A short plan, for less than a minute.
    pub fn quick() -> Self {
        let size = |services| Size { services, endpoints: 10 };
        Self {
            large: size(2_000),
            costs: [100, 1_000, 2_000].map(size).to_vec(),
            effects: 100,
            churned_effects: 100,
            blocks: 8,
            block: 25,
            rest: Duration::from_secs(3),
            ..Self::full()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_with_bars_are_among_those_that_are_measured() {
        for plan in [Plan::full(), Plan::quick()] {
            assert!(plan.costs.contains(&plan.small) && plan.costs.contains(&plan.large), "{plan:?}");
        }
        assert_eq!(Plan::full().large.all_endpoints(), 100_000);
    }

    #[test]
    fn only_sizes_near_the_defaults_raise_them() {
        let flags = |services| Size { services, endpoints: 10 }.flags().join(" ");
        assert_eq!(flags(10_000), "--device-mode off");
        assert_eq!(flags(30_000), "--device-mode off --max-service-ports 65536 --max-backends 1048576");
        for raised in ["--max-services 262144", "--max-networks 262144"] {
            assert!(flags(100_000).contains(raised), "{}", flags(100_000));
        }
    }

    #[test]
    fn size_needs_memory_for_all_its_endpoints() {
        let size = Size { services: 100_000, endpoints: 10 };
        assert!(!size.fits(4 << 30) && size.fits(8 << 30));
    }
}
