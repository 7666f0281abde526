//! The default sizes of the maps.

/// Default number of SERVICES entries (frontends).
pub const SERVICES_MAX: usize = 65_536;
/// Default number of service ids: GENERATIONS, SERVICE_COUNTERS and SERVICE_NAMES.
pub const SERVICE_IDS_MAX: usize = 32_768;
/// Default number of SLOTS.
pub const SLOTS_MAX: usize = 1 << 20;
/// Default number of BACKENDS.
pub const BACKENDS_MAX: usize = 1 << 18;
/// Default number of MEMBERS entries.
pub const MEMBERS_MAX: usize = 1 << 18;
/// Default number of AFFINITY entries.
pub const AFFINITY_MAX: usize = 65_536;
/// Default number of sockets in SOCKET_CONNECTIONS, see [`crate::connection`].
pub const SOCKET_CONNECTIONS_MAX: usize = 65_536;
/// Default number of SOCKET_FLOWS entries.
pub const SOCKET_FLOWS_MAX: usize = 65_536;
/// Default number of NETWORKS entries.
pub const NETWORKS_MAX: usize = 65_536;

/// Default number of buckets in FLOW_BUCKETS: two for each flow. CONNTRACK has half as many entries, a little more than 2^17, so
/// that the kernel's hash gets 2^18 buckets: with as many entries as buckets, a lookup that finds nothing walks past one entry on
/// average.
pub const CONNTRACK_MAX: usize = 270_000;
/// Default number of EMBRYONIC entries: two for each flow. See [`CONNTRACK_MAX`].
pub const EMBRYONIC_MAX: usize = 70_000;
/// Default number of FRAGMENTS entries.
pub const FRAGMENTS_MAX: usize = 8192;
/// Default number of SOURCE_RANGES entries.
pub const SOURCE_RANGES_MAX: usize = 65_536;
/// Number of COUNTERS entries: more than there are counters, so that a new counter does not change the layout.
pub const COUNTERS_MAX: usize = 128;
/// Number of LAYOUTS entries.
pub const LAYOUTS_MAX: usize = 64;
/// Number of DEVICES entries.
pub const DEVICES_MAX: usize = 1024;
/// Bytes of EVENTS, a power of two and a multiple of the page size.
pub const EVENTS_BYTES: usize = 256 << 10;
