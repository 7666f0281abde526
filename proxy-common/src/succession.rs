//! SUCCESSION and LAYOUTS: how one set of programs and maps replaces another (docs/adr/0010).

use crate::pod::pod;

/// How far a set of programs has come in replacing the previous set. SUCCESSION has the number as its only value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// There is no other set.
    Alone = 0,
    /// Some hooks may still have programs of the previous set. Only that set opens flows; programs of both sets use it for that.
    Following = 1,
    /// All hooks have programs of this set, which opens flows. The previous set has flows that this one does not know.
    Leading = 2,
    /// A set that will replace this one is being made. Both sets open flows until one of them knows all, so source ports are
    /// divided: this set gives even ones, and the other, while it is [`Leading`](Self::Leading), odd ones.
    Followed = 3,
}

impl Phase {
    /// The source port nearest to `port` that a set may give in the phase with this number.
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
    /// The key of this map. A name that is too long is cut off.
    pub fn new(name: &str) -> Self {
        let mut key = Self::default();
        key.name.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
        key
    }
}
