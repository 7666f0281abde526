//! SUCCESSION and LAYOUTS: how one set of programs and maps takes the place of another (docs/adr/0010).

use crate::pod::pod;

/// Where a set of programs stands on its way into the place of the set before it. The number is SUCCESSION's only value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// No other set is there.
    Alone = 0,
    /// Some hooks may have programs of the set before: it alone opens flows, since programs of both sets ask it.
    Following = 1,
    /// All hooks have programs of this set, which opens flows. The set before knows some that this one does not.
    Leading = 2,
    /// A set that is to take this one's place is being made. Both open flows before one of them knows all: the source ports that
    /// this set gives are even, those of the other one, as long as it is [`Leading`](Self::Leading), are odd.
    Followed = 3,
}

impl Phase {
    /// The source port nearest to `port` that a set gives in the phase with this number.
    #[inline(always)]
    pub const fn own_port(phase: u32, port: u16) -> u16 {
        if phase == Self::Followed as u32 {
            port & !1
        } else if phase == Self::Leading as u32 {
            port | 1
        } else {
            port
        }
    }
}

pod! {
    /// Key of LAYOUTS: a map's name in the object, padded with zeros. The value, a `u32`, is the
    /// [`ABI_VERSION`](crate::ABI_VERSION) that gave the map its layout and the meaning of what it holds.
    pub struct MapName: 24 {
        /// UTF-8.
        pub name: [u8; 24],
    }
}

impl MapName {
    /// The key of this map; what is too long for it is cut off.
    pub fn new(name: &str) -> Self {
        let mut key = Self::default();
        key.name.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
        key
    }
}
