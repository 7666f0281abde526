//! The maps of flows of both families as one table: those that both sides have confirmed, or EMBRYONIC.

use std::borrow::Borrow as _;

use aya::{
    Pod,
    maps::{Array, HashMap, MapData, MapError},
};
use proxy_common::{Conntrack, FlowLine, Ipv4Conntrack, Life, Stored, Tuple};

use crate::{
    bpf,
    maps::{MapsError, PinFolder, open, open_data},
};

/// How many lines are read with one system call.
const BATCH: u32 = 4096;

/// The flows of one kind.
pub struct FlowTable {
    ipv4: Entries<Ipv4Conntrack>,
    ipv6: Entries<Conntrack>,
}

/// Those of one family.
struct Entries<E: Stored<Line: Pod>> {
    lines: Option<Lines<E::Line>>,
    /// All others.
    map: HashMap<MapData, E::Key, E>,
    /// Room in both.
    capacity: usize,
}

/// FLOW_LINES of a family: not mapped into memory, since all of it would count as the agent's.
struct Lines<L: Pod> {
    array: Array<MapData, L>,
    map: MapData,
    /// Pair of lines → 1 once an entry of it has gone to the hash.
    displaced: Array<MapData, u8>,
}

/// The pinned maps of a table, of each family: the name of the lines, if there are any, and of the hash.
#[derive(Clone, Copy, Debug)]
pub struct Names([(Option<&'static str>, &'static str); 2]);

impl Names {
    /// Flows that both sides have confirmed.
    pub const ASSURED: Self =
        Self([(Some("FLOW_LINES_IPV4"), "CONNTRACK_IPV4"), (Some("FLOW_LINES_IPV6"), "CONNTRACK_IPV6")]);
    /// Flows that nobody has confirmed yet.
    pub const EMBRYONIC: Self = Self([(None, "EMBRYONIC_IPV4"), (None, "EMBRYONIC_IPV6")]);
}

impl FlowTable {
    /// Opens the pinned maps.
    pub fn open(folder: &PinFolder, Names([ipv4, ipv6]): Names) -> Result<Self, MapsError> {
        Ok(Self { ipv4: Entries::open(folder, ipv4)?, ipv6: Entries::open(folder, ipv6)? })
    }

    /// Every entry by its packet, IPv4 first. While programs write, one may come twice, and one that comes or goes
    /// meanwhile may be missing.
    pub fn entries(&self) -> impl Iterator<Item = Result<(Tuple, Conntrack), MapError>> {
        self.ipv4.entries().chain(self.ipv6.entries())
    }

    /// How many entries there is room for.
    pub fn capacity(&self) -> usize {
        self.ipv4.capacity + self.ipv6.capacity
    }

    /// Enters a flow that is not there yet, without a place among the lines, which are the programs' to give.
    pub fn insert(&mut self, tuple: &Tuple, flow: &Conntrack) -> Result<(), MapError> {
        if is_ipv4(tuple) { self.ipv4.insert(tuple, flow) } else { self.ipv6.insert(tuple, flow) }
    }

    /// Enters or replaces a flow where the programs would. They must not do so at the same time.
    pub fn put(&mut self, tuple: &Tuple, flow: &Conntrack) -> Result<(), MapError> {
        if is_ipv4(tuple) { self.ipv4.put(tuple, flow) } else { self.ipv6.put(tuple, flow) }
    }

    /// Takes the key of a flow that another set of programs has, unless it is taken.
    pub fn reserve(&mut self, tuple: &Tuple, flow: &Conntrack) -> Result<(), MapError> {
        let life = Life { flags: flow.life.flags | Life::RESERVED, ..flow.life };
        self.insert(tuple, &Conntrack { life, ..*flow })
    }

    /// Whether a packet has a living entry at `now` (jiffies), and not only a reserved key.
    pub fn holds(&self, tuple: &Tuple, now: u32) -> Result<bool, MapError> {
        if is_ipv4(tuple) { self.ipv4.holds(tuple, now) } else { self.ipv6.holds(tuple, now) }
    }

    /// Enters a living flow, as [`insert`](Self::insert) does, also where its key is reserved, unless it lives there already
    /// or has ended since: programs may write meanwhile.
    pub fn follow(&mut self, tuple: &Tuple, flow: &Conntrack, now: u32) -> Result<(), MapError> {
        if is_ipv4(tuple) { self.ipv4.follow(tuple, flow, now) } else { self.ipv6.follow(tuple, flow, now) }
    }

    /// Takes back what [`follow`](Self::follow) has entered.
    pub fn withdraw(&mut self, tuple: &Tuple) {
        // Absent is as good as removed.
        let _ = if is_ipv4(tuple) { self.ipv4.withdraw(tuple) } else { self.ipv6.withdraw(tuple) };
    }

    /// Removes the entry of a packet. The programs must not write at the same time.
    pub fn remove(&mut self, tuple: &Tuple) -> Result<(), MapError> {
        if is_ipv4(tuple) { self.ipv4.remove(tuple) } else { self.ipv6.remove(tuple) }
    }
}

fn is_ipv4(tuple: &Tuple) -> bool {
    tuple.destination.is_ipv4()
}

impl<E: Stored<Key: Pod, Line: Pod> + Pod> Entries<E> {
    fn open(folder: &PinFolder, (lines, map): (Option<&'static str>, &'static str)) -> Result<Self, MapsError> {
        let open_lines = |name| {
            Ok(Lines {
                array: open(folder, name)?,
                map: open_data(folder, name)?,
                displaced: open(folder, "DISPLACED")?,
            })
        };
        let info = open_data(folder, map)?.info().map_err(|source| MapsError::Type { name: map, source })?;
        let lines = lines.map(open_lines).transpose()?;
        let capacity = lines.as_ref().map_or(0, |lines| lines.array.len()) + info.max_entries();
        Ok(Self { lines, map: open(folder, map)?, capacity: capacity as usize })
    }

    fn entries(&self) -> impl Iterator<Item = Result<(Tuple, Conntrack), MapError>> {
        let lines = self.lines.iter().flat_map(|lines| {
            let starts = (0..lines.array.len()).step_by(BATCH as usize);
            starts.flat_map(|start| match bpf::read_array::<E::Line>(lines.map.fd(), start, BATCH) {
                Ok(batch) => {
                    let full = batch.into_iter().filter(|line| !line.is_empty());
                    full.map(|line| Ok(widen(line.key(), line.entry()))).collect()
                }
                Err(error) => vec![Err(MapError::from(error))],
            })
        });
        lines.chain(self.map.iter().map(|entry| entry.map(|(key, entry)| widen(&key, &entry))))
    }

    /// The line of a packet's entry, if it has one, and a line that could be its.
    fn line(&self, tuple: &Tuple) -> Result<(Option<u32>, Option<u32>), MapError> {
        let Some(Lines { array: lines, .. }) = &self.lines else { return Ok((None, None)) };
        let key = E::key(tuple);
        let place = E::Line::place(key.borrow(), lines.len() / 2);
        let mut free = None;
        for index in [place.home, place.neighbour()] {
            let line = lines.get(&index, 0)?;
            if line.is_of(key.borrow()) {
                return Ok((Some(index), None));
            }
            free = free.or(line.is_empty().then_some(index));
        }
        Ok((None, free))
    }

    fn insert(&mut self, tuple: &Tuple, flow: &Conntrack) -> Result<(), MapError> {
        const BPF_NOEXIST: u64 = 1;
        if self.line(tuple)?.0.is_some() {
            return Err(MapError::from(std::io::Error::from_raw_os_error(libc::EEXIST)));
        }
        self.note_displaced(tuple)?;
        self.map.insert(E::key(tuple).borrow(), E::narrow(flow).borrow(), BPF_NOEXIST)
    }

    fn holds(&self, tuple: &Tuple, now: u32) -> Result<bool, MapError> {
        Ok(self.lives(tuple)?.into_iter().flatten().any(|life| !life.is_expired(now) && !is_reserved(&life)))
    }

    fn follow(&mut self, tuple: &Tuple, flow: &Conntrack, now: u32) -> Result<(), MapError> {
        let is_known = |life: Life| !is_reserved(&life) && (!life.is_expired(now) || life.state() != flow.life.state());
        if self.lives(tuple)?.into_iter().flatten().any(is_known) {
            return Ok(());
        }
        self.note_displaced(tuple)?;
        self.map.insert(E::key(tuple).borrow(), E::narrow(flow).borrow(), 0)
    }

    fn withdraw(&mut self, tuple: &Tuple) -> Result<(), MapError> {
        self.map.remove(E::key(tuple).borrow())
    }

    /// What is remembered of a packet's flow, in its line and in the hash.
    fn lives(&self, tuple: &Tuple) -> Result<[Option<Life>; 2], MapError> {
        let in_line = match (self.line(tuple)?.0, &self.lines) {
            (Some(index), Some(Lines { array: lines, .. })) => Some(*lines.get(&index, 0)?.entry().life()),
            _ => None,
        };
        let elsewhere = match self.map.get(E::key(tuple).borrow(), 0) {
            Err(MapError::KeyNotFound) => None,
            entry => Some(*entry?.life()),
        };
        Ok([in_line, elsewhere])
    }

    /// Lets programs look for the entry of a packet in the hash.
    fn note_displaced(&mut self, tuple: &Tuple) -> Result<(), MapError> {
        let Some(lines) = &mut self.lines else { return Ok(()) };
        let place = E::Line::place(E::key(tuple).borrow(), lines.array.len() / 2);
        lines.displaced.set(place.pair(), 1, 0)
    }

    fn put(&mut self, tuple: &Tuple, flow: &Conntrack) -> Result<(), MapError> {
        let (found, free) = self.line(tuple)?;
        let (key, entry) = (E::key(tuple), E::narrow(flow));
        let (Some(index), Some(Lines { array: lines, .. })) = (found.or(free), &mut self.lines) else {
            self.note_displaced(tuple)?;
            return self.map.insert(key.borrow(), entry.borrow(), 0);
        };
        let mut line = lines.get(&index, 0)?;
        line.fill(key.borrow(), entry.borrow());
        *line.seal() = E::Line::seal_of(E::Line::place(key.borrow(), lines.len() / 2), entry.borrow());
        lines.set(index, line, 0)?;
        absent_is_removed(self.map.remove(key.borrow()))
    }

    fn remove(&mut self, tuple: &Tuple) -> Result<(), MapError> {
        if let ((Some(index), _), Some(Lines { array: lines, .. })) = (self.line(tuple)?, &mut self.lines) {
            let mut line = lines.get(&index, 0)?;
            line.clear();
            lines.set(index, line, 0)?;
        }
        absent_is_removed(self.map.remove(E::key(tuple).borrow()))
    }
}

const fn is_reserved(life: &Life) -> bool {
    life.flags & Life::RESERVED != 0
}

/// A packet and its flow, from how they lie in the maps.
fn widen<E: Stored>(key: &E::Key, entry: &E) -> (Tuple, Conntrack) {
    let mut flow = Conntrack::default();
    entry.widen(&mut flow);
    (E::tuple(key), flow)
}

fn absent_is_removed(removal: Result<(), MapError>) -> Result<(), MapError> {
    match removal {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        removal => removal,
    }
}
