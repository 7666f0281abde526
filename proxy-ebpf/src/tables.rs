//! Where flows are kept, a set of maps for each family, since IPv4 flows lie in half the memory: FLOW_LINES for those that
//! both sides have confirmed, CONNTRACK for those of them that find no place there, EMBRYONIC for all others. What is done
//! with them is written once.

use core::{arch::asm, borrow::Borrow as _};

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    btf_maps::{Array, LruHashMap},
};
use proxy_common::{
    Conntrack, FlowLine, Ipv4Conntrack, Life, OWNED, Place, Stored, Tuple,
    config::{CONNTRACK_MAX, EMBRYONIC_MAX},
};

use crate::maps::{
    CONNTRACK_IPV4, CONNTRACK_IPV6, DISPLACED, EMBRYONIC_IPV4, EMBRYONIC_IPV6, FLOW_LINES_IPV4, FLOW_LINES_IPV6,
    FLOW_PAIRS, JIFFIES_PER_SECOND,
};

/// Flows that both sides have confirmed, each in one of its own two places.
pub type Lines<E> = Array<<E as Stored>::Line, CONNTRACK_MAX, { BPF_F_MMAPABLE as usize }>;
/// Those that found both taken.
pub type Displaced<E> = LruHashMap<<E as Stored>::Key, E, { CONNTRACK_MAX / 2 }>;
/// Flows that nobody has confirmed yet.
pub type Embryonic<E> = LruHashMap<<E as Stored>::Key, E, EMBRYONIC_MAX>;

/// A family's entries and the maps that they are in.
pub trait Table: Stored + 'static {
    /// FLOW_LINES of this family.
    fn lines() -> &'static Lines<Self>;
    /// CONNTRACK of this family.
    fn displaced() -> &'static Displaced<Self>;
    /// EMBRYONIC of this family.
    fn embryonic() -> &'static Embryonic<Self>;

    /// The live entry of a packet, and whether its flow is assured. An LRU map may give the entry's memory to another
    /// flow at any time, though not to one that comes right after a lookup, which marks the entry as used; a line is given
    /// away when its flow has ended for a second.
    #[inline(always)]
    fn find(tuple: &Tuple, now: u32) -> Option<(&'static mut Self, bool)> {
        let key = Self::key(tuple);
        let place = place::<Self>(key.borrow());
        // An ended flow keeps its bucket until the flow that follows it is assured.
        if let Some(entry) = in_line::<Self>(key.borrow(), place, |entry| !entry.life().is_expired(now)) {
            return Some((entry, true));
        }
        // A copy that helpers may see: the key of most packets, which lies in a line, stays in registers.
        let tuple = *tuple;
        let key = Self::key(&tuple);
        if let Some(entry) = alive(elsewhere(key.borrow(), place), now) {
            return Some((entry, true));
        }
        let entry = alive(Self::embryonic().get_ptr_mut(key.borrow()), now)?;
        if entry.life().flags & Life::RESERVED == 0 { Some((entry, false)) } else { None }
    }

    /// The entry of an assured flow, ended or not.
    #[inline(always)]
    fn assured(key: &Self::Key) -> Option<*mut Self> {
        let place = place::<Self>(key);
        let in_line = in_line::<Self>(key, place, |_| true).map(|entry| &raw mut *entry);
        in_line.or_else(|| elsewhere(key, place))
    }

    /// Enters or replaces the entry of an assured flow. A full map that refuses leaves things as they are: nothing to be done
    /// about it here.
    #[inline(never)]
    fn assure(key: &Self::Key, entry: &Self, now: u32) {
        let place = place::<Self>(key);
        match fill_line(key, place, entry, now) {
            Filled::Again => {}
            // What is left of the key's last flow must not be found once this one has ended.
            Filled::Anew => remove_elsewhere::<Self>(key, place),
            Filled::Nowhere => {
                if let Some(displaced) = DISPLACED.get_ptr_mut(place.pair()) {
                    // SAFETY: one byte, which never becomes 0 again.
                    unsafe { *displaced = 1 };
                }
                let _ = Self::displaced().insert(key, entry, 0);
            }
        }
    }

    /// Ends or removes the entry of an assured flow, if there is one. A line is not emptied: programs that have just found the
    /// flow there may still write its life.
    #[inline(always)]
    fn end_assured(key: &Self::Key, now: u32) {
        let place = place::<Self>(key);
        if let Some(line) = line_of::<Self>(key, place) {
            line.entry_mut().life_mut().expires = now;
        }
        remove_elsewhere::<Self>(key, place);
    }
}

#[inline(always)]
fn place<E: Table>(key: &E::Key) -> Place {
    E::Line::place(key, FLOW_PAIRS.load())
}

/// The entry of an assured flow in CONNTRACK, where few are.
#[inline(always)]
fn elsewhere<E: Table>(key: &E::Key, place: Place) -> Option<*mut E> {
    if is_crowded(place) { E::displaced().get_ptr_mut(key) } else { None }
}

#[inline(always)]
fn remove_elsewhere<E: Table>(key: &E::Key, place: Place) {
    if is_crowded(place) {
        let _ = E::displaced().remove(key);
    }
}

/// Whether entries of this place have ever gone to CONNTRACK.
#[inline(always)]
fn is_crowded(place: Place) -> bool {
    DISPLACED.get(place.pair()).is_some_and(|displaced| *displaced != 0)
}

#[inline(always)]
fn alive<E: Table>(entry: Option<*mut E>, now: u32) -> Option<&'static mut E> {
    // SAFETY: the pointer is valid until the program ends, and words are read and written one by one.
    let entry = unsafe { &mut *entry? };
    if entry.life().is_expired(now) { None } else { Some(entry) }
}

#[inline(always)]
fn line_at<E: Table>(index: u32) -> Option<&'static mut E::Line> {
    // SAFETY: as above.
    E::lines().get_ptr_mut(index).map(|line| unsafe { &mut *line })
}

/// The line that has this key.
#[inline(always)]
fn line_of<E: Table>(key: &E::Key, place: Place) -> Option<&'static mut E::Line> {
    let home = line_at::<E>(place.home)?;
    if home.is_of(key) {
        return Some(home);
    }
    let neighbour = line_at::<E>(place.neighbour())?;
    if neighbour.is_of(key) { Some(neighbour) } else { None }
}

/// The entry of a key in its line, if it is `wanted`.
#[inline(always)]
fn in_line<E: Table>(key: &E::Key, place: Place, wanted: impl FnOnce(&E) -> bool) -> Option<&'static mut E> {
    let line = line_of::<E>(key, place)?;
    if !wanted(line.entry()) {
        return None;
    }
    // First the end, then the seal: another flow may have got the line of an ended one since its key was read, and has
    // another seal.
    // SAFETY: nothing but a barrier for the compiler.
    unsafe { asm!("", options(nostack)) };
    let seal = E::Line::seal_of(place, line.entry());
    // One that is just being written is still where it was.
    if *line.seal() == seal { Some(line.entry_mut()) } else { None }
}

/// What became of an entry that was to be put in line.
enum Filled {
    /// It was there already.
    Again,
    /// It is there now.
    Anew,
    /// Both places are others'.
    Nowhere,
}

#[inline(always)]
fn fill_line<E: Table>(key: &E::Key, place: Place, entry: &E, now: u32) -> Filled {
    if let Some(line) = line_of::<E>(key, place) {
        let seal = E::Line::seal_of(place, line.entry());
        if *line.seal() == seal && line.entry().translates_as(entry) {
            // Readers find it whole all the time.
            *line.entry_mut().life_mut() = *entry.life();
            return Filled::Again;
        }
        // If not by this program it is written by another, of the same flow: unless that gives the line away.
        let written = fill_if(line, place, key, entry, |line| line.is_of(key)) || line.is_of(key);
        return if written { Filled::Again } else { Filled::Nowhere };
    }
    for index in [place.home, place.neighbour()] {
        if let Some(line) = line_at::<E>(index)
            && fill_if(line, place, key, entry, |line| is_free(line, now))
        {
            return Filled::Anew;
        }
    }
    Filled::Nowhere
}

/// Writes an entry into a line, if it may be had.
#[inline(always)]
fn fill_if<E: Table>(
    line: &mut E::Line,
    place: Place,
    key: &E::Key,
    entry: &E,
    may_be_had: impl Fn(&E::Line) -> bool,
) -> bool {
    if !may_be_had(line) {
        return false;
    }
    let Some(seal) = own(line) else { return false };
    // Somebody may have been faster.
    if !may_be_had(line) {
        release(line, seal);
        return false;
    }
    line.fill(key, entry);
    release(line, E::Line::seal_of(place, entry));
    true
}

/// Whether another flow may have the line: a program that has just found its last one has ended meanwhile.
#[inline(always)]
fn is_free<L: FlowLine<Entry: Table>>(line: &L, now: u32) -> bool {
    line.is_empty() || line.entry().life().is_expired(now.wrapping_sub(JIFFIES_PER_SECOND.load()))
}

/// Makes this program the line's only writer, if nobody else is; returns its seal.
#[inline(always)]
fn own<L: FlowLine>(line: &mut L) -> Option<u64> {
    let seal = line.seal();
    let old = *seal;
    let mut found = old;
    // SAFETY: an aligned word of a map. In assembly, since the compiler does not offer BPF's atomic operations.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({seal} + 0, r0, {owned})",
            seal = in(reg) &raw mut *seal,
            owned = in(reg) OWNED,
            inout("r0") found,
            options(nostack),
        );
    }
    if old != OWNED && found == old { Some(old) } else { None }
}

/// Lets others write and read.
#[inline(always)]
fn release<L: FlowLine>(line: &mut L, with: u64) {
    let seal = line.seal();
    // SAFETY: as above. A full barrier (Linux, Documentation/bpf/standardization): all that was written comes before.
    unsafe {
        asm!(
            "{with} = xchg_64({seal} + 0, {with})",
            seal = in(reg) &raw mut *seal,
            with = inout(reg) with => _,
            options(nostack),
        );
    }
}

impl Table for Ipv4Conntrack {
    #[inline(always)]
    fn lines() -> &'static Lines<Self> {
        &FLOW_LINES_IPV4
    }

    #[inline(always)]
    fn displaced() -> &'static Displaced<Self> {
        &CONNTRACK_IPV4
    }

    #[inline(always)]
    fn embryonic() -> &'static Embryonic<Self> {
        &EMBRYONIC_IPV4
    }
}

impl Table for Conntrack {
    #[inline(always)]
    fn lines() -> &'static Lines<Self> {
        &FLOW_LINES_IPV6
    }

    #[inline(always)]
    fn displaced() -> &'static Displaced<Self> {
        &CONNTRACK_IPV6
    }

    #[inline(always)]
    fn embryonic() -> &'static Embryonic<Self> {
        &EMBRYONIC_IPV6
    }
}
