//! Every map and every load-time constant. Types, keys and values are `proxy-common`'s; sizes here are
//! defaults, which the agent overrides at load time from its flags.

use aya_ebpf::{
    Global,
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, SkStorage},
    macros::btf_map,
};
use proxy_common::{
    Address, Affinity, AffinityKey, Backend, Connection, Counter, Flow, Frontend, Member, Network, Peer, Service,
    ServiceCounters, ServiceName,
    config::{
        AFFINITY_MAX, BACKENDS_MAX, MEMBERS_MAX, NETWORKS_MAX, SERVICE_IDS_MAX, SERVICES_MAX, SLOTS_MAX,
        SOCKET_CONNECTIONS_MAX, SOCKET_FLOWS_MAX,
    },
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

/// Service id → moves with every change of its lists or frontends, so that memories can be checked.
#[btf_map]
pub static GENERATIONS: Array<u32, SERVICE_IDS_MAX, { BPF_F_MMAPABLE as usize }> = Array::new();

/// (Service, backend) → the lists it is in; asked only when a memory is older than the generation.
#[btf_map]
pub static MEMBERS: HashMap<Member, u32, MEMBERS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Prefix → what an address in it means when no frontend has it.
#[btf_map]
pub static NETWORKS: LpmTrie<Address, Network, NETWORKS_MAX> = LpmTrie::new();

/// (Client, service) → the backend it keeps.
#[btf_map]
pub static AFFINITY: LruHashMap<AffinityKey, Affinity, AFFINITY_MAX> = LruHashMap::new();

/// Cookie of a connected TCP or SCTP socket → what it dialled and who answers. Preallocated, so that making an entry
/// is cheap; not least recently used, so that no socket loses its own.
#[btf_map]
pub static SOCKET_CONNECTIONS: HashMap<u64, Connection, SOCKET_CONNECTIONS_MAX> = HashMap::new();

/// The same for UDP sockets, and for those that find no place there.
#[btf_map]
pub static SOCKET_PEERS: SkStorage<Peer> = SkStorage::new();

/// The same for UDP sockets with several peers, and for the agent to find connected UDP sockets by backend.
#[btf_map]
pub static SOCKET_FLOWS: LruHashMap<Flow, Peer, SOCKET_FLOWS_MAX> = LruHashMap::new();

/// Events by reason.
#[btf_map]
pub static COUNTERS: PerCpuArray<u64, { Counter::ALL.len() }> = PerCpuArray::new();

/// Service id → its flows, packets and bytes.
#[btf_map]
pub static SERVICE_COUNTERS: PerCpuArray<ServiceCounters, SERVICE_IDS_MAX> = PerCpuArray::new();

/// Service id → Kubernetes names. The programs never read it; it is here so that the object declares it.
#[btf_map]
pub static SERVICE_NAMES: HashMap<u32, ServiceName, SERVICE_IDS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Version of the layouts in these maps, written by the agent: `proxy_common::ABI_VERSION`.
#[btf_map]
pub static ABI: Array<u32, 1> = Array::new();

/// Cookie of the node's own network namespace, where node ports are served on loopback (S19).
#[unsafe(no_mangle)]
pub static NODE_NETNS: Global<u64> = Global::new(0);

/// Whether this kernel knows MPTCP: one that does not refuses programs that ask for it. 0 or 1.
#[unsafe(no_mangle)]
pub static HAS_MPTCP: Global<u8> = Global::new(0);

/// How long an idle unconnected UDP flow keeps its backend, ns.
#[unsafe(no_mangle)]
pub static UDP_FLOW_TIMEOUT: Global<u64> = Global::new(120_000_000_000);
