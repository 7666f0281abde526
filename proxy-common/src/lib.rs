//! The contract between the eBPF programs and the agent: the keys and values of every map, and every decision that needs no
//! kernel helper. `no_std`, so that it compiles for both sides; nothing here performs I/O or allocates. Rules are cited by their
//! numbers in docs/semantics.md (S24).
//!
//! Layout rules: `#[repr(C)]`, explicit padding, no `bool`, enum or `usize` inside map types. Addresses
//! are in network byte order inside [`Address`]; ports are plain host-order numbers, so that a map dump
//! reads `"port": 80`. Any change of layout bumps [`ABI_VERSION`].
#![no_std]

mod pod;

pub mod addr;
pub mod advice;
pub mod affinity;
pub mod backend;
pub mod capture;
pub mod checksum;
pub mod connection;
pub mod conntrack;
pub mod counter;
pub mod decide;
pub mod device;
pub mod event;
pub mod family;
pub mod filter;
pub mod fragment;
pub mod maps;
pub mod network;
pub mod node;
pub mod parsed_headers;
pub mod peer;
pub mod protocol;
pub mod reason;
pub mod reject;
pub mod scratch;
pub mod sctp;
pub mod select;
pub mod service;
pub mod shared;
pub mod sizes;
pub mod source_range;
pub mod stage;
pub mod stored_name;
pub mod succession;
pub mod verdict;

pub use addr::Address;
pub use affinity::{Affinity, AffinityKey};
pub use backend::{Backend, Member};
pub use connection::{Connection, ConnectionSet};
pub use conntrack::{
    AssociationTimeouts, Chunk, ConntrackEntry, Direction, EntryMeta, FlowBucket, Ipv4Bucket, Ipv4ConntrackEntry,
    Ipv4Tuple, Ipv6Bucket, Judgement, LOCKED, Place, Segment, SharedBucket, SharedEntry, State, Stored, TcpFlags,
    Timeouts, Tuple,
};
pub use counter::{BackendCounters, ServiceCounters};
pub use device::Device;
pub use event::{Event, EventHook, EventKind, Monitor};
pub use family::Family;
pub use fragment::{Fragment, FragmentPorts};
pub use maps::{MAPS, MapKind, MapSpec, SizedBy, Writer};
pub use network::Network;
pub use parsed_headers::{Headers, Part};
pub use peer::{Flow, FlowRole, Peer};
pub use protocol::Protocol;
pub use reason::{Counter, DropReason, Outcome, RejectReason};
pub use reject::Reject;
pub use scratch::Scratch;
pub use service::{Frontend, FrontendKind, List, Service, SlotRange};
pub use shared::Shared;
pub use source_range::SourceRange;
pub use stage::Stage;
pub use stored_name::StoredName;
pub use succession::{MapName, Phase};
pub use verdict::Verdict;

/// Version of the map layouts in this crate. `maps.rs` says which version introduced the layout of each map. The agent replaces
/// pinned maps whose layout is of another version.
pub const ABI_VERSION: u32 = if cfg!(feature = "other-abi") { 1013 } else { 13 };
