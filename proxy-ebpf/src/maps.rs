//! Every map and every load-time constant. Types, keys and values are `proxy-common`'s; sizes here are
//! defaults, which the agent overrides at load time from its flags.

use aya_ebpf::{
    Global,
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, SkStorage},
    macros::btf_map,
};
use proxy_common::{
    Address, Affinity, AffinityKey, Backend, BackendCounters, ConnectionSet, ConntrackEntry, Device, Flow, Fragment,
    FragmentPorts, Frontend, Ipv4Bucket, Ipv4ConntrackEntry, Ipv4Tuple, Ipv6Bucket, MapName, Member, Network, Peer,
    Reject, Scratch, Service, ServiceCounters, ServiceName, SourceRange, Stage, Tuple,
    config::{
        AFFINITY_MAX, BACKENDS_MAX, CONNTRACK_MAX, COUNTERS_MAX, DEVICES_MAX, EMBRYONIC_MAX, FRAGMENTS_MAX,
        LAYOUTS_MAX, MEMBERS_MAX, NETWORKS_MAX, SERVICE_IDS_MAX, SERVICES_MAX, SLOTS_MAX, SOCKET_CONNECTIONS_MAX,
        SOCKET_FLOWS_MAX, SOURCE_RANGES_MAX,
    },
    connection::WAYS,
    filter::FILTER_LENGTH,
    node::SOURCES,
};

/// What a client dials → the service behind it. Preallocated: replacing a value can't fail.
#[btf_map]
pub static SERVICES: HashMap<Frontend, Service, SERVICES_MAX> = HashMap::new();

/// Backend ids; a service's list of backends is a range of it.
#[btf_map]
pub static SLOTS: Array<u32, SLOTS_MAX, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Backend id → where the backend listens.
#[btf_map]
pub static BACKENDS: Array<Backend, BACKENDS_MAX, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Service id → generation, which changes with the Service's lists and frontends, so that remembered backends can be checked.
#[btf_map]
pub static GENERATIONS: Array<u32, SERVICE_IDS_MAX, { BPF_F_MMAPABLE as usize }> = Array::new();

/// (Service, backend) → the lists that the backend is in; read only when a remembered backend has an older generation.
#[btf_map]
pub static MEMBERS: HashMap<Member, u32, MEMBERS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Prefix → what an address in it means when no frontend has it.
#[btf_map]
pub static NETWORKS: LpmTrie<Address, Network, NETWORKS_MAX> = LpmTrie::new();

/// (Client, service) → the backend it keeps.
#[btf_map]
pub static AFFINITY: LruHashMap<AffinityKey, Affinity, AFFINITY_MAX> = LruHashMap::new();

/// Cookies of connected TCP and SCTP sockets → the frontend that each has dialled, and its backend; a hash table of our own: see
/// `proxy_common::connection`. No socket loses its entry to another. Mappable, so that its elements begin with a cache line.
#[btf_map]
pub static SOCKET_CONNECTIONS: Array<
    ConnectionSet,
    { SOCKET_CONNECTIONS_MAX / WAYS as usize },
    { BPF_F_MMAPABLE as usize },
> = Array::new();

/// Socket → what it dialled and its backend, for UDP sockets, and for TCP and SCTP ones that find no place in
/// SOCKET_CONNECTIONS.
#[btf_map]
pub static SOCKET_PEERS: SkStorage<Peer> = SkStorage::new();

/// (Cookie, remote) → what a UDP socket with several peers dialled, and its backend. The agent finds connected UDP sockets by
/// backend here.
#[btf_map]
pub static SOCKET_FLOWS: LruHashMap<Flow, Peer, SOCKET_FLOWS_MAX> = LruHashMap::new();

/// Address prefix → the AddressClass bits of what may lie there: see `proxy_common::filter`.
#[btf_map]
pub static ADDRESS_FILTER: Array<u8, FILTER_LENGTH, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Destination port on this node → its PortClass bits.
#[btf_map]
pub static PORT_FILTER: Array<u8, FILTER_LENGTH, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Port of this node → 1 once source translation has used it: replies may arrive there.
#[btf_map]
pub static SNAT_PORTS: Array<u8, FILTER_LENGTH> = Array::new();

/// This node's own addresses, one a family: the source of what is forwarded; and further ones, for backends that are reached
/// from them.
#[btf_map]
pub static NODE_ADDRESSES: Array<Address, { SOURCES as usize }> = Array::new();

/// Interface index → what may be done with the device.
#[btf_map]
pub static DEVICES: HashMap<u32, Device, DEVICES_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// (Service, client prefix) → 1 where the service is for these clients.
#[btf_map]
pub static SOURCE_RANGES: LpmTrie<SourceRange, u32, SOURCE_RANGES_MAX> = LpmTrie::new();

/// IPv4 packet as it arrives → its translation; the assured flows, each in one of two buckets: see `flow/table.rs`.
#[btf_map]
pub static FLOW_BUCKETS_IPV4: Array<Ipv4Bucket, CONNTRACK_MAX, { BPF_F_MMAPABLE as usize }> = Array::new();

/// IPv6 packet as it arrives → its translation; the assured flows, as in FLOW_BUCKETS_IPV4.
#[btf_map]
pub static FLOW_BUCKETS_IPV6: Array<Ipv6Bucket, CONNTRACK_MAX, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Set of two buckets → 1 once an entry of it has gone to CONNTRACK.
#[btf_map]
pub static OVERFLOW: Array<u8, { CONNTRACK_MAX / 2 }> = Array::new();

/// Overflow of FLOW_BUCKETS_IPV4: assured flows whose two buckets were taken.
#[btf_map]
pub static CONNTRACK_IPV4: LruHashMap<Ipv4Tuple, Ipv4ConntrackEntry, { CONNTRACK_MAX / 2 }> = LruHashMap::new();

/// Overflow of FLOW_BUCKETS_IPV6: assured flows whose two buckets were taken.
#[btf_map]
pub static CONNTRACK_IPV6: LruHashMap<Tuple, ConntrackEntry, { CONNTRACK_MAX / 2 }> = LruHashMap::new();

/// IPv4 packet as it arrives → its translation, of flows that are not assured yet: a flood of first packets evicts only these.
#[btf_map]
pub static EMBRYONIC_IPV4: LruHashMap<Ipv4Tuple, Ipv4ConntrackEntry, EMBRYONIC_MAX> = LruHashMap::new();

/// IPv6 packet as it arrives → its translation, of flows that are not assured yet.
#[btf_map]
pub static EMBRYONIC_IPV6: LruHashMap<Tuple, ConntrackEntry, EMBRYONIC_MAX> = LruHashMap::new();

/// Per-CPU scratch: state carried across tail calls, and buffers too large for the stack.
#[btf_map]
pub static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// Fragmented packet → the ports in its first fragment.
#[btf_map]
pub static FRAGMENTS: LruHashMap<Fragment, FragmentPorts, FRAGMENTS_MAX> = LruHashMap::new();

/// This CPU's rate limit of refusals, and the refusal of the packet at hand: see `reject.rs`.
#[btf_map]
pub static REJECTS: PerCpuArray<Reject, 1> = PerCpuArray::new();

/// [`Stage`] → the program that does it, at XDP.
#[btf_map]
pub static XDP_STAGES: ProgramArray<{ Stage::COUNT }> = ProgramArray::new();

/// [`Stage`] → the program that does it, at TC.
#[btf_map]
pub static TC_STAGES: ProgramArray<{ Stage::COUNT }> = ProgramArray::new();

/// Backend id → how hard it was to find source ports for it.
#[btf_map]
pub static BACKEND_COUNTERS: PerCpuArray<BackendCounters, BACKENDS_MAX> = PerCpuArray::new();

/// Events by reason.
#[btf_map]
pub static COUNTERS: PerCpuArray<u64, COUNTERS_MAX> = PerCpuArray::new();

/// Service id → its flows, packets and bytes.
#[btf_map]
pub static SERVICE_COUNTERS: PerCpuArray<ServiceCounters, SERVICE_IDS_MAX> = PerCpuArray::new();

/// Service id → Kubernetes names. The programs never read it; it is here so that the object declares it.
#[btf_map]
pub static SERVICE_NAMES: HashMap<u32, ServiceName, SERVICE_IDS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// The [`Phase`](proxy_common::Phase) of this set of programs and maps, written by the agent.
#[btf_map]
pub static SUCCESSION: Array<u32, 1> = Array::new();

/// Name of a map → the version that gave it its layout. The programs never read it.
#[btf_map]
pub static LAYOUTS: HashMap<MapName, u32, LAYOUTS_MAX> = HashMap::new();

/// Version of the layouts in these maps, written by the agent: `proxy_common::ABI_VERSION`.
#[btf_map]
pub static ABI: Array<u32, 1> = Array::new();

/// Number of sets of two buckets in FLOW_BUCKETS of either family.
#[unsafe(no_mangle)]
pub static FLOW_SETS: Global<u32> = Global::new(0);

/// Number of elements of SOCKET_CONNECTIONS.
#[unsafe(no_mangle)]
pub static CONNECTION_SETS: Global<u32> = Global::new(0);

/// Cookie of the node's own network namespace, where node ports are served on loopback (S19).
#[unsafe(no_mangle)]
pub static NODE_NETNS: Global<u64> = Global::new(0);

/// Whether this kernel knows MPTCP: one that does not refuses programs that ask for it. 0 or 1.
#[unsafe(no_mangle)]
pub static HAS_MPTCP: Global<u8> = Global::new(0);

/// How long an idle unconnected UDP flow keeps its backend, ns.
#[unsafe(no_mangle)]
pub static UDP_FLOW_TIMEOUT: Global<u64> = Global::new(120_000_000_000);

/// Jiffies in a second of this kernel.
#[unsafe(no_mangle)]
pub static JIFFIES_PER_SECOND: Global<u32> = Global::new(250);

/// Jiffies at which the clock stands still, for tests whose result must not depend on how fast they are run; 0: it runs.
#[unsafe(no_mangle)]
pub static STOPPED_AT: Global<u32> = Global::new(0);

/// Timeouts of flows, in jiffies: `Timeouts` field by field, so that the verifier sees each as a constant.
#[unsafe(no_mangle)]
pub static TIMEOUT_TCP_SYN_SENT: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_TCP_SYN_RECEIVED: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_TCP_ESTABLISHED: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_TCP_FIN_WAIT: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_TCP_CLOSE_WAIT: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_TCP_TIME_WAIT: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_TCP_CLOSE: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_UDP: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_UDP_STREAM: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_SCTP_CLOSED: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_SCTP_COOKIE_WAIT: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_SCTP_ESTABLISHED: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_SCTP_SHUTDOWN_SENT: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_SCTP_SHUTDOWN_RECEIVED: Global<u32> = Global::new(0);
/// See [`TIMEOUT_TCP_SYN_SENT`].
#[unsafe(no_mangle)]
pub static TIMEOUT_SCTP_SHUTDOWN_ACK_SENT: Global<u32> = Global::new(0);

/// What makes the choices for TCP connections unpredictable.
#[unsafe(no_mangle)]
pub static SECRET: Global<u64> = Global::new(0);

/// 1: an ICMP echo request to an address that a Service owns gets a reply while a backend is usable.
#[unsafe(no_mangle)]
pub static ANSWER_ECHO: Global<u32> = Global::new(1);

/// Refusals a second and CPU; 0 is no limit.
#[unsafe(no_mangle)]
pub static REJECT_RATE: Global<u32> = Global::new(1000);
