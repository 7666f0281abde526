//! This node's own addresses.

use proxy_common::{
    Address,
    node::{NODE_IPV4, NODE_IPV6},
};

use crate::maps::NODE_ADDRESSES;

/// This node's address of the same family as `like`, if it has one.
#[inline(always)]
pub fn node_address(like: &Address) -> Option<Address> {
    own_address(if like.is_ipv4() { NODE_IPV4 } else { NODE_IPV6 })
}

/// The address at this index of NODE_ADDRESSES, if there is one.
#[inline(always)]
pub fn own_address(index: u32) -> Option<Address> {
    NODE_ADDRESSES.get(index).copied().filter(|address| *address != Address::ANY_IPV6)
}
