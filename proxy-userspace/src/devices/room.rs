//! Decides which devices have an entry in the map DEVICES if there are more than it has room for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::select::Target;

/// The devices to serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Division {
    /// The devices that have room, by index.
    pub with_room: BTreeMap<u32, Target>,
    /// The devices that have none.
    pub without: BTreeMap<u32, Target>,
}

/// Divides the devices. Those that carry all clients come before those of single pods, and of equal ones those in `known`, which
/// have an entry already: no device loses its entry to another of its kind.
pub(super) fn divide(wanted: BTreeMap<u32, Target>, known: &BTreeSet<u32>, room: usize) -> Division {
    if wanted.len() <= room {
        return Division { with_room: wanted, without: BTreeMap::new() };
    }
    let mut order: Vec<_> = wanted.into_iter().collect();
    order.sort_by_key(|(index, target)| (target.role, !known.contains(index), *index));
    let without = order.split_off(room).into_iter().collect();
    Division { with_room: order.into_iter().collect(), without }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{devices::select::Role, node::rtnetlink::Link};

    fn target(index: u32, role: Role) -> (u32, Target) {
        (index, Target { link: Link { index, ..Link::default() }, role, unreliable: None })
    }

    fn divided(known: &[u32], room: usize) -> [Vec<u32>; 2] {
        let wanted = [
            target(2, Role::Sctp),
            target(3, Role::Outside),
            target(4, Role::Pod),
            target(5, Role::Sctp),
            target(6, Role::Outside),
        ];
        let Division { with_room, without } = divide(wanted.into(), &known.iter().copied().collect(), room);
        [with_room, without].map(|devices| devices.into_keys().collect())
    }

    #[test]
    fn devices_for_all_clients_come_first_and_sctp_of_pods_last() {
        assert_eq!(divided(&[], 5), [vec![2, 3, 4, 5, 6], vec![]]);
        assert_eq!(divided(&[], 4), [vec![2, 3, 4, 6], vec![5]]);
        assert_eq!(divided(&[2, 4, 5], 2), [vec![3, 6], vec![2, 4, 5]]);
        assert_eq!(divided(&[], 0), [vec![], vec![2, 3, 4, 5, 6]]);
    }

    #[test]
    fn a_device_does_not_lose_its_entry_to_another_of_its_kind() {
        assert_eq!(divided(&[5, 6], 4), [vec![3, 4, 5, 6], vec![2]]);
        assert_eq!(divided(&[6], 1), [vec![6], vec![2, 3, 4, 5]]);
    }
}
