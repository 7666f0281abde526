//! NODE_ADDRESSES: the indexes of this node's own addresses.

/// Index in NODE_ADDRESSES, an array of [`Address`](crate::Address), of this node's IPv4 address, which is the source of
/// forwarded packets. The address is all zeros if the node has none.
pub const NODE_IPV4: u32 = 0;
/// Index in NODE_ADDRESSES of this node's IPv6 address, with the same meaning.
pub const NODE_IPV6: u32 = 1;
/// Number of entries of NODE_ADDRESSES. The entries after the first two are sources for backends that the kernel reaches from
/// another address of this node, such as those behind a tunnel: see [`Backend::source`](crate::Backend::source).
pub const SOURCES: u32 = 256;
