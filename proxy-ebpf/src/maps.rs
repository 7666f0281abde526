//! Every map, as `proxy_common::maps` lists them, and every load-time constant. Sizes are defaults: the agent sets the
//! actual sizes at load time.

use aya_ebpf::{
    Global,
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, RingBuf, SkStorage},
    macros::btf_map,
};
use proxy_common::{
    Address, Affinity, AffinityKey, Backend, BackendCounters, ConnectionSet, ConntrackEntry, Device, Event, Flow,
    Fragment, FragmentPorts, Frontend, Ipv4Bucket, Ipv4ConntrackEntry, Ipv4Tuple, Ipv6Bucket, MapName, Member, Monitor,
    Network, Peer, Reject, Scratch, Service, ServiceCounters, SourceRange, Stage, StoredName, Tuple,
    connection::WAYS,
    filter::FILTER_LENGTH,
    for_each_map,
    node::SOURCES,
    sizes::{
        AFFINITY_MAX, BACKENDS_MAX, CONNTRACK_MAX, COUNTERS_MAX, DEVICES_MAX, EMBRYONIC_MAX, EVENTS_BYTES,
        FRAGMENTS_MAX, LAYOUTS_MAX, MEMBERS_MAX, NETWORKS_MAX, SERVICE_IDS_MAX, SERVICES_MAX, SLOTS_MAX,
        SOCKET_CONNECTIONS_MAX, SOCKET_FLOWS_MAX, SOURCE_RANGES_MAX,
    },
};

/// Declares a map by its type.
macro_rules! map {
    ($(#[$doc:meta])* $name:ident: Array<$key:ty, $value:ty>, $entries:expr) => {
        $(#[$doc])*
        #[btf_map]
        pub static $name: Array<$value, { $entries }> = Array::new();
    };
    ($(#[$doc:meta])* $name:ident: MappedArray<$key:ty, $value:ty>, $entries:expr) => {
        $(#[$doc])*
        #[btf_map]
        pub static $name: Array<$value, { $entries }, { BPF_F_MMAPABLE as usize }> = Array::new();
    };
    ($(#[$doc:meta])* $name:ident: PerCpuArray<$key:ty, $value:ty>, $entries:expr) => {
        $(#[$doc])*
        #[btf_map]
        pub static $name: PerCpuArray<$value, { $entries }> = PerCpuArray::new();
    };
    ($(#[$doc:meta])* $name:ident: Hash<$key:ty, $value:ty>, $entries:expr) => {
        $(#[$doc])*
        #[btf_map]
        pub static $name: HashMap<$key, $value, { $entries }> = HashMap::new();
    };
    ($(#[$doc:meta])* $name:ident: SparseHash<$key:ty, $value:ty>, $entries:expr) => {
        $(#[$doc])*
        #[btf_map]
        pub static $name: HashMap<$key, $value, { $entries }, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();
    };
    ($(#[$doc:meta])* $name:ident: LruHash<$key:ty, $value:ty>, $entries:expr) => {
        $(#[$doc])*
        #[btf_map]
        pub static $name: LruHashMap<$key, $value, { $entries }> = LruHashMap::new();
    };
    ($(#[$doc:meta])* $name:ident: LpmTrie<$key:ty, $value:ty>, $entries:expr) => {
        $(#[$doc])*
        #[btf_map]
        pub static $name: LpmTrie<$key, $value, { $entries }> = LpmTrie::new();
    };
    ($(#[$doc:meta])* $name:ident: SkStorage<$key:ty, $value:ty>, $entries:expr) => {
        $(#[$doc])*
        #[btf_map]
        pub static $name: SkStorage<$value> = SkStorage::new();
    };
    ($(#[$doc:meta])* $name:ident: ProgramArray<$key:ty, $value:ty>, $entries:expr) => {
        $(#[$doc])*
        #[btf_map]
        pub static $name: ProgramArray<{ $entries }> = ProgramArray::new();
    };
    ($(#[$doc:meta])* $name:ident: RingBuf<$key:ty, $value:ty>, $entries:expr) => {
        $(#[$doc])*
        #[btf_map]
        pub static $name: RingBuf<$value, { $entries }> = RingBuf::new();
    };
}

macro_rules! maps {
    ($($(#[$doc:meta])* $name:ident: $kind:ident<$key:ty, $value:ty>, $entries:expr, $by:ident, $writer:ident, $since:expr;)*) => {
        $(map! { $(#[$doc])* $name: $kind<$key, $value>, $entries })*
    };
}

for_each_map!(maps);

/// Number of sets of two buckets in FLOW_BUCKETS of either family.
#[unsafe(no_mangle)]
pub static FLOW_SETS: Global<u32> = Global::new(0);

/// Number of elements of SOCKET_CONNECTIONS.
#[unsafe(no_mangle)]
pub static CONNECTION_SETS: Global<u32> = Global::new(0);

/// Cookie of the node's own network namespace, where node ports are served on loopback (S19).
#[unsafe(no_mangle)]
pub static NODE_NETNS: Global<u64> = Global::new(0);

/// 1 if this kernel has MPTCP, else 0. A kernel without it refuses programs that call its helper.
#[unsafe(no_mangle)]
pub static HAS_MPTCP: Global<u8> = Global::new(0);

/// How long an idle unconnected UDP flow keeps its backend, ns.
#[unsafe(no_mangle)]
pub static UDP_FLOW_TIMEOUT: Global<u64> = Global::new(Peer::TIMEOUT);

/// Jiffies in a second of this kernel.
#[unsafe(no_mangle)]
pub static JIFFIES_PER_SECOND: Global<u32> = Global::new(250);

/// The time at which the clock stands still, jiffies, for tests whose results must not depend on their speed. 0: it runs.
#[unsafe(no_mangle)]
pub static STOPPED_AT: Global<u32> = Global::new(0);

macro_rules! timeouts {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub static $name: Global<u32> = Global::new(0);
    )*};
}

// `Timeouts` field by field, so that the verifier sees each as a constant. Jiffies after which an idle flow in a state is
// forgotten, by nf_conntrack's names.
timeouts! {
    /// A TCP SYN that has no reply yet.
    TIMEOUT_TCP_SYN_SENT;
    /// A TCP SYN and its SYN-ACK, without the client's ACK.
    TIMEOUT_TCP_SYN_RECEIVED;
    /// An open TCP connection.
    TIMEOUT_TCP_ESTABLISHED;
    /// A TCP connection that one side has closed, before the FIN is acknowledged.
    TIMEOUT_TCP_FIN_WAIT;
    /// A TCP connection whose FIN is acknowledged, as long as the other side stays open.
    TIMEOUT_TCP_CLOSE_WAIT;
    /// A TCP connection that both sides have closed.
    TIMEOUT_TCP_TIME_WAIT;
    /// A TCP connection that has been reset.
    TIMEOUT_TCP_CLOSE;
    /// A UDP flow that is not assured.
    TIMEOUT_UDP;
    /// An assured UDP flow.
    TIMEOUT_UDP_STREAM;
    /// An SCTP association that has been aborted or closed.
    TIMEOUT_SCTP_CLOSED;
    /// An SCTP association that is being set up.
    TIMEOUT_SCTP_COOKIE_WAIT;
    /// An open SCTP association.
    TIMEOUT_SCTP_ESTABLISHED;
    /// An SCTP association whose client has begun to close it.
    TIMEOUT_SCTP_SHUTDOWN_SENT;
    /// An SCTP association whose server has begun to close it.
    TIMEOUT_SCTP_SHUTDOWN_RECEIVED;
    /// An SCTP association whose end awaits its last acknowledgement.
    TIMEOUT_SCTP_SHUTDOWN_ACK_SENT;
}

/// Makes the choice of backends for TCP and SCTP unpredictable.
#[unsafe(no_mangle)]
pub static SECRET: Global<u64> = Global::new(0);

/// 1: an ICMP echo request to an address that a Service owns gets a reply while a backend is usable.
#[unsafe(no_mangle)]
pub static ANSWER_ECHO: Global<u32> = Global::new(1);

/// Refusals per second and CPU; 0 is no limit.
#[unsafe(no_mangle)]
pub static REJECT_RATE: Global<u32> = Global::new(1000);
