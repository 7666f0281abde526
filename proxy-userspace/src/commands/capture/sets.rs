//! The sets of programs and devices whose packets may come. Where devices get other programs, packets of the former ones still come
//! for a moment: each packet is named by the maps of its own program. Pure.

use super::targets::Targets;

/// Programs and devices, and what is needed to name their packets.
pub(super) struct Set<N> {
    pub(super) targets: Targets,
    pub(super) names: N,
}

/// The current set, and those before it.
pub(super) struct Sets<N> {
    current: Set<N>,
    /// The oldest first.
    former: Vec<Set<N>>,
}

impl<N> Sets<N> {
    pub(super) const fn new(current: Set<N>) -> Self {
        Self { current, former: Vec::new() }
    }

    /// Returns what is to be traced.
    pub(super) const fn targets(&self) -> &Targets {
        &self.current.targets
    }

    /// Makes a set the current one. The others stay known until they are forgotten.
    pub(super) fn replace(&mut self, next: Set<N>) {
        self.former.push(std::mem::replace(&mut self.current, next));
    }

    /// Forgets all sets but the current one.
    pub(super) fn forget_former(&mut self) {
        self.former.clear();
    }

    /// Returns what names the packets of a program on a device, and the device's name; `None` if the device is in no set.
    pub(super) fn find(&self, program: u32, device: u32) -> Option<(&N, &str)> {
        let of_program = self.all().find(|set| set.targets.programs.contains_key(&program)).unwrap_or(&self.current);
        // A device may be in another set than its program: programs are put on devices that come.
        let device = [of_program].into_iter().chain(self.all()).find_map(|set| set.targets.devices.get(&device))?;
        Some((&of_program.names, device))
    }

    /// Returns all sets, the latest first.
    fn all(&self) -> impl Iterator<Item = &Set<N>> {
        [&self.current].into_iter().chain(self.former.iter().rev())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::hook::Stage, *};

    fn set(names: &'static str, programs: &[u32], devices: &[(u32, &str)]) -> Set<&'static str> {
        let programs = programs.iter().map(|program| (*program, Stage::Xdp)).collect();
        let devices = devices.iter().map(|(index, name)| (*index, (*name).to_owned())).collect();
        Set { targets: Targets { programs, devices }, names }
    }

    #[test]
    fn packets_of_a_device_that_has_come_are_taken_and_so_are_those_of_one_that_has_gone() {
        let mut sets = Sets::new(set("old", &[7], &[(2, "eth0"), (3, "eth1")]));
        sets.replace(set("new", &[7], &[(2, "eth0"), (4, "eth2")]));
        assert_eq!(sets.find(7, 4), Some((&"new", "eth2")));
        assert_eq!(sets.find(7, 3), Some((&"new", "eth1")));
        assert_eq!(sets.find(7, 5), None);
        sets.forget_former();
        assert_eq!(sets.find(7, 3), None);
    }

    #[test]
    fn packets_are_named_by_the_maps_of_their_programs() {
        let mut sets = Sets::new(set("first", &[7], &[(2, "eth0")]));
        sets.replace(set("second", &[8], &[(2, "eth0")]));
        sets.replace(set("third", &[9], &[(2, "renamed")]));
        assert_eq!([7, 8, 9].map(|program| sets.find(program, 2).unwrap().0), [&"first", &"second", &"third"]);
        assert_eq!([7, 9].map(|program| sets.find(program, 2).unwrap().1), ["eth0", "renamed"]);
        assert!(sets.targets().programs.contains_key(&9));
    }
}
