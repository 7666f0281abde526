//! Scenarios that run several times: with each source of objects, and over each family.

use super::{Family, Origin, Scene, Setup};

/// Backends of a scene whose setup names no number.
const BACKENDS: usize = 3;

/// Runs `scenario` from a folder of manifests and from an API server, in one scene each.
pub fn from_both(setup: impl Into<Setup>, scenario: impl Fn(&Scene)) {
    let mut setup = setup.into();
    setup.backends.get_or_insert(BACKENDS);
    for origin in Origin::BOTH {
        println!("{} from {origin:?}", setup.name());
        scenario(&setup.clone().origin(origin).start());
    }
}

/// Runs `scenario` with both sources and over both families.
pub fn from_both_over_both(setup: impl Into<Setup>, scenario: impl Fn(&Scene, Family)) {
    from_both(setup, |scene| over_both(|family| scenario(scene, family)));
}

/// Runs `part` over both families.
pub fn over_both(part: impl Fn(Family)) {
    for family in Family::BOTH {
        println!("over {family:?}");
        part(family);
    }
}
