//! The table of all maps: name, type, key, value, number of entries and version of the layout. The programs' declarations
//! (`proxy-ebpf/src/maps.rs`) and the layouts that the agent expects follow from it; docs/ARCHITECTURE.md is checked against it.

use crate::{
    ABI_VERSION, Address, Affinity, AffinityKey, Backend, BackendCounters, ConnectionSet, ConntrackEntry, Device,
    Event, Flow, Fragment, FragmentPorts, Frontend, Ipv4Bucket, Ipv4ConntrackEntry, Ipv4Tuple, Ipv6Bucket, MapName,
    Member, Monitor, Network, Peer, Reject, Scratch, Service, ServiceCounters, SourceRange, Stage, StoredName, Tuple,
    connection::WAYS,
    filter::FILTER_LENGTH,
    node::SOURCES,
    sizes::{
        AFFINITY_MAX, BACKENDS_MAX, CONNTRACK_MAX, COUNTERS_MAX, DEVICES_MAX, EMBRYONIC_MAX, EVENTS_BYTES,
        FRAGMENTS_MAX, LAYOUTS_MAX, MEMBERS_MAX, NETWORKS_MAX, SERVICE_IDS_MAX, SERVICES_MAX, SLOTS_MAX,
        SOCKET_CONNECTIONS_MAX, SOCKET_FLOWS_MAX, SOURCE_RANGES_MAX,
    },
};

/// Passes the table to the macro `$receiver`. Each line has documentation, name, type with key and value, default number of
/// entries, what determines that number, which side writes it, and the version that introduced the map's layout and the meaning
/// of its contents.
#[macro_export]
macro_rules! for_each_map {
    ($receiver:ident) => {
        $receiver! {
            /// Dialled address, port and protocol → the service behind it. Preallocated: replacing a value can't fail.
            SERVICES: Hash<Frontend, Service>, SERVICES_MAX, Services, Agent, 7;
            /// Index → backend id. A service's list of backends is a range of indexes.
            SLOTS: MappedArray<u32, u32>, SLOTS_MAX, Slots, Agent, 7;
            /// Backend id → where the backend listens.
            BACKENDS: MappedArray<u32, Backend>, BACKENDS_MAX, Backends, Agent, 7;
            /// Service id → generation, which changes with the Service's lists and frontends, so that remembered backends can be
            /// checked.
            GENERATIONS: MappedArray<u32, u32>, SERVICE_IDS_MAX, ServiceIds, Agent, 7;
            /// (Service, backend) → the lists that the backend is in; read only when a remembered backend has an older generation.
            MEMBERS: SparseHash<Member, u32>, MEMBERS_MAX, Members, Agent, 7;
            /// Prefix → the meaning of an address in it that is no frontend's.
            NETWORKS: LpmTrie<Address, Network>, NETWORKS_MAX, Networks, Agent, 7;
            /// (Service, client prefix) → 1: the service admits these clients.
            SOURCE_RANGES: LpmTrie<SourceRange, u32>, SOURCE_RANGES_MAX, SourceRanges, Agent, 7;
            /// Address prefix → AddressClass bits. See `proxy_common::filter`.
            ADDRESS_FILTER: MappedArray<u32, u8>, FILTER_LENGTH, Nothing, Agent, 7;
            /// Destination port on this node → its PortClass bits.
            PORT_FILTER: MappedArray<u32, u8>, FILTER_LENGTH, Nothing, Agent, 7;
            /// Port of this node → 1 once source translation has used it: replies may arrive there.
            SNAT_PORTS: Array<u32, u8>, FILTER_LENGTH, Nothing, Programs, 7;
            /// (Client, service) → the backend it keeps.
            AFFINITY: LruHash<AffinityKey, Affinity>, AFFINITY_MAX, Affinity, Programs, 7;
            /// Cookies of connected TCP and SCTP sockets → the frontend that each has dialled, and its backend. A hash table of
            /// our own, in which no socket evicts another: see `proxy_common::connection`. Mappable, so that elements are aligned
            /// to cache lines.
            SOCKET_CONNECTIONS: MappedArray<u32, ConnectionSet>, SOCKET_CONNECTIONS_MAX / WAYS as usize, ConnectionSets, Programs, 10;
            /// Socket → the frontend that it dialled, and its backend, for UDP sockets, and for TCP and SCTP sockets that find no
            /// place in SOCKET_CONNECTIONS.
            SOCKET_PEERS: SkStorage<i32, Peer>, 0, Nothing, Programs, 7;
            /// (Cookie, remote) → the frontend that a UDP socket with several peers dialled, and its backend. The agent finds
            /// connected UDP sockets by backend here.
            SOCKET_FLOWS: LruHash<Flow, Peer>, SOCKET_FLOWS_MAX, SocketFlows, Programs, 7;
            /// Events by reason.
            COUNTERS: PerCpuArray<u32, u64>, COUNTERS_MAX, Nothing, Programs, 7;
            /// Service id → its flows, packets and bytes.
            SERVICE_COUNTERS: PerCpuArray<u32, ServiceCounters>, SERVICE_IDS_MAX, ServiceIds, Programs, 7;
            /// Tuple of an IPv4 packet as it arrives → its translation, for assured flows. Each key has two buckets: see
            /// `flow/table.rs`.
            FLOW_BUCKETS_IPV4: MappedArray<u32, Ipv4Bucket>, CONNTRACK_MAX, FlowBuckets, Programs, 12;
            /// Tuple of an IPv6 packet as it arrives → its translation, for assured flows, as in FLOW_BUCKETS_IPV4.
            FLOW_BUCKETS_IPV6: MappedArray<u32, Ipv6Bucket>, CONNTRACK_MAX, FlowBuckets, Programs, 12;
            /// Set of two buckets → 1 once an entry of it has gone to CONNTRACK.
            OVERFLOW: Array<u32, u8>, CONNTRACK_MAX / 2, FlowSets, Programs, 9;
            /// Overflow of FLOW_BUCKETS_IPV4: assured flows whose two buckets were taken.
            CONNTRACK_IPV4: LruHash<Ipv4Tuple, Ipv4ConntrackEntry>, CONNTRACK_MAX / 2, FlowSets, Programs, 12;
            /// Overflow of FLOW_BUCKETS_IPV6: assured flows whose two buckets were taken.
            CONNTRACK_IPV6: LruHash<Tuple, ConntrackEntry>, CONNTRACK_MAX / 2, FlowSets, Programs, 12;
            /// Tuple of an IPv4 packet as it arrives → its translation, for flows that are not assured yet. A flood of first
            /// packets evicts only these.
            EMBRYONIC_IPV4: LruHash<Ipv4Tuple, Ipv4ConntrackEntry>, EMBRYONIC_MAX, Embryonic, Programs, 12;
            /// Tuple of an IPv6 packet as it arrives → its translation, for flows that are not assured yet.
            EMBRYONIC_IPV6: LruHash<Tuple, ConntrackEntry>, EMBRYONIC_MAX, Embryonic, Programs, 12;
            /// Fragmented packet → the ports in its first fragment.
            FRAGMENTS: LruHash<Fragment, FragmentPorts>, FRAGMENTS_MAX, Fragments, Programs, OTHER;
            /// Backend id → how many source ports were given for it, how many of those tried were in use, and how many searches
            /// found none. Only backends that were sent flows with source translation have an entry.
            BACKEND_COUNTERS: SparseHash<u32, BackendCounters>, BACKENDS_MAX, Backends, Programs, 11;
            /// This CPU's rate limit of refusals, and the refusal of the current packet. See `reject.rs`.
            REJECTS: PerCpuArray<u32, Reject>, 1, Nothing, Programs, 7;
            /// Per-CPU scratch: state carried across tail calls, and buffers too large for the stack.
            SCRATCH: PerCpuArray<u32, Scratch>, 1, Nothing, Programs, 7;
            /// What has happened to flows, calls and packets. The programs report it while `waggle monitor` runs, which reads it.
            EVENTS: RingBuf<(), Event>, EVENTS_BYTES, Nothing, Programs, 12;
            /// What the running monitor wants to know, and until when. Written by `waggle monitor`.
            MONITOR: Array<u32, Monitor>, 1, Nothing, Monitor, 12;
            /// Service id → 1: the running monitor wants to know about this one. Read only if it does not want all.
            MONITORED_SERVICES: MappedArray<u32, u8>, SERVICE_IDS_MAX, ServiceIds, Monitor, 12;
            /// Stage → its program, at XDP. See [`Stage`](proxy_common::Stage).
            XDP_STAGES: ProgramArray<u32, u32>, Stage::COUNT, Nothing, Agent, 7;
            /// Stage → its program, at TC. See [`Stage`](proxy_common::Stage).
            TC_STAGES: ProgramArray<u32, u32>, Stage::COUNT, Nothing, Agent, 7;
            /// How far this set of programs and maps has come in replacing another, written by the agent. See
            /// [`Phase`](proxy_common::Phase).
            SUCCESSION: Array<u32, u32>, 1, Nothing, Agent, 7;
            /// Name of a map → the version that gave it its layout. The programs never read it.
            LAYOUTS: Hash<MapName, u32>, LAYOUTS_MAX, Nothing, Agent, 7;
            /// Interface index → the flags of the device.
            DEVICES: SparseHash<u32, Device>, DEVICES_MAX, Nothing, Agent, 7;
            /// This node's own addresses, one of each family: the source of forwarded packets. Then the sources for backends that
            /// are reached from other addresses.
            NODE_ADDRESSES: Array<u32, Address>, SOURCES as usize, Nothing, Agent, 7;
            /// Service id → Kubernetes names, and when its backends last changed. The programs never read it; it is here so that
            /// the eBPF object declares it.
            SERVICE_NAMES: SparseHash<u32, StoredName>, SERVICE_IDS_MAX, ServiceIds, Agent, 13;
            /// Version of the layouts in these maps, written by the agent. It is `proxy_common::ABI_VERSION`.
            ABI: Array<u32, u32>, 1, Nothing, Agent, 7;
        }
    };
}

/// A type of map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// BPF_MAP_TYPE_ARRAY.
    Array,
    /// BPF_MAP_TYPE_ARRAY that can be mapped into memory (BPF_F_MMAPABLE).
    MappedArray,
    /// BPF_MAP_TYPE_PERCPU_ARRAY.
    PerCpuArray,
    /// BPF_MAP_TYPE_HASH, preallocated.
    Hash,
    /// BPF_MAP_TYPE_HASH whose entries are allocated one by one (BPF_F_NO_PREALLOC).
    SparseHash,
    /// BPF_MAP_TYPE_LRU_HASH.
    LruHash,
    /// BPF_MAP_TYPE_LPM_TRIE. In the kernel, the declared key follows a prefix length.
    LpmTrie,
    /// BPF_MAP_TYPE_SK_STORAGE.
    SkStorage,
    /// BPF_MAP_TYPE_PROG_ARRAY.
    ProgramArray,
    /// BPF_MAP_TYPE_RINGBUF. The kernel knows neither keys nor values, and counts its size in bytes.
    RingBuf,
}

/// The setting that determines the number of a map's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the agent's flag of its name, or is derived from one")]
pub enum SizedBy {
    Nothing,
    Services,
    ServiceIds,
    Slots,
    Backends,
    Members,
    Networks,
    SourceRanges,
    Affinity,
    ConnectionSets,
    SocketFlows,
    FlowBuckets,
    FlowSets,
    Embryonic,
    Fragments,
}

/// Who writes a map while packets and calls are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The agent alone: programs only read it.
    Agent,
    /// The programs. The agent reads it, and removes or carries over what has ended.
    Programs,
    /// `waggle monitor`, while it runs: programs only read it.
    Monitor,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSpec {
    /// Name in the eBPF object.
    pub name: &'static str,
    /// Documentation of the map, on one line and with a space before it. Its first sentence says what the map holds.
    pub doc: &'static str,
    /// Type of the map.
    pub kind: MapKind,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Default number of entries.
    pub default_entries: u32,
    /// The setting that determines the number of entries.
    pub sized_by: SizedBy,
    /// Who writes it.
    pub writer: Writer,
    /// The ABI version that introduced the map's layout and the meaning of its contents.
    pub since: u32,
}

/// The version of a map whose layout differs in the other ABI, which is for tests.
const OTHER: u32 = if cfg!(feature = "other-abi") { ABI_VERSION } else { 7 };

macro_rules! specs {
    ($($(#[doc = $doc:literal])* $name:ident: $kind:ident<$key:ty, $value:ty>, $entries:expr, $by:ident, $writer:ident, $since:expr;)*) => {
        /// Every map.
        pub const MAPS: &[MapSpec] = &[$(MapSpec {
            name: stringify!($name),
            doc: concat!($($doc),*),
            kind: MapKind::$kind,
            key_size: key_size::<$key>(MapKind::$kind),
            value_size: value_size::<$value>(MapKind::$kind),
            default_entries: small($entries),
            sized_by: SizedBy::$by,
            writer: Writer::$writer,
            since: $since,
        }),*];
    };
}

for_each_map!(specs);

const fn key_size<K>(kind: MapKind) -> u32 {
    const PREFIX_LENGTH: u32 = 4;
    let size = small(size_of::<K>());
    if matches!(kind, MapKind::LpmTrie) { PREFIX_LENGTH + size } else { size }
}

const fn value_size<V>(kind: MapKind) -> u32 {
    if matches!(kind, MapKind::RingBuf) { 0 } else { small(size_of::<V>()) }
}

#[expect(clippy::cast_possible_truncation, reason = "far below 2^32")]
const fn small(size: usize) -> u32 {
    size as u32
}
