//! Determines which ports of this host source translation may use.

use std::{fs, io, ops::RangeInclusive};

use proxy_common::filter::PortClass;
use tracing::{info, warn};

const LOCAL_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// The first unprivileged port: only root may bind lower ones.
const FIRST: u16 = 1024;
/// How many ports must be neither ephemeral nor reserved. With fewer, source translation shares ports with the host's
/// sockets. Among this many, the programs find a free one within their limited number of attempts (`flow/source_port.rs`).
const MIN_FREE: usize = 4096;

/// How this host uses the ports from 1024 on. Node ports are treated like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnatPorts {
    ephemeral: RangeInclusive<u16>,
    reserved: Vec<RangeInclusive<u16>>,
    is_short: bool,
}

impl SnatPorts {
    /// Reads the sysctls of the calling thread's network namespace.
    pub fn read() -> io::Result<Self> {
        let (range, reserved) = (fs::read_to_string(LOCAL_RANGE)?, fs::read_to_string(RESERVED)?);
        let unreadable =
            || io::Error::new(io::ErrorKind::InvalidData, format!("{range:?} and {reserved:?} are no ports"));
        Self::parse(&range, &reserved).ok_or_else(unreadable)
    }

    /// Parses `ip_local_port_range` (two numbers) and `ip_local_reserved_ports` (a list of numbers and ranges).
    pub fn parse(range: &str, reserved: &str) -> Option<Self> {
        let mut numbers = range.split_whitespace().map(|number| number.parse::<u16>().ok());
        let (first, last) = (numbers.next()??, numbers.next()??);
        let reserved = reserved.trim().split(',').filter(|part| !part.is_empty());
        let reserved = reserved.map(parse_part).collect::<Option<_>>()?;
        let ports = Self { ephemeral: first..=last, reserved, is_short: false };
        numbers.next().is_none().then(|| Self { is_short: ports.free() < MIN_FREE, ..ports })
    }

    /// Returns how source translation may use a port: 0 means not at all, [`PortClass::SNAT`] always, and
    /// [`PortClass::SHARED`] in addition means only if no socket uses it.
    pub fn class(&self, port: u16) -> u8 {
        if self.is_free(port) {
            return PortClass::SNAT;
        }
        if port >= FIRST && self.is_short && !self.is_taken_first(port) {
            PortClass::SNAT | PortClass::SHARED
        } else {
            0
        }
    }

    /// Returns how many ports are neither ephemeral nor reserved.
    pub fn free(&self) -> usize {
        (FIRST..=u16::MAX).filter(|port| self.is_free(*port)).count()
    }

    /// Whether so few ports are free that source translation shares ports with the host's sockets.
    pub const fn is_short(&self) -> bool {
        self.is_short
    }

    /// Returns how many ports of `range` the host's sockets may get by themselves: they are ephemeral and not reserved.
    pub fn ephemeral_in(&self, range: &RangeInclusive<u16>) -> usize {
        range.clone().filter(|port| self.ephemeral.contains(port) && !self.is_reserved(*port)).count()
    }

    /// Logs a warning if ports are shared, and when `before` were shared and these are not.
    pub fn report(&self, before: Option<&Self>) {
        let (free, was_short) = (self.free(), before.is_some_and(|before| before.is_short));
        if self.is_short {
            let shared = (FIRST..=u16::MAX).filter(|port| self.class(*port) & PortClass::SHARED != 0).count();
            warn!(
                free,
                shared,
                "few ports are outside net.ipv4.ip_local_port_range and ip_local_reserved_ports: packets \
                 forwarded to other nodes share ports with this host's sockets, unless a socket uses the port for the \
                 same backend; narrow the range to leave {MIN_FREE} ports free"
            );
        } else if was_short {
            info!(free, "enough ports are free again for packets forwarded to other nodes");
        }
    }

    fn is_free(&self, port: u16) -> bool {
        port >= FIRST && !self.ephemeral.contains(&port) && !self.is_reserved(port)
    }

    fn is_reserved(&self, port: u16) -> bool {
        self.reserved.iter().any(|range| range.contains(&port))
    }

    /// True if connect(2) prefers the port. It takes ephemeral ports of the same parity as the first one as long as there are
    /// any (net/ipv4/inet_hashtables.c), so these are left to it. It never takes reserved ports.
    fn is_taken_first(&self, port: u16) -> bool {
        self.ephemeral.contains(&port) && !self.is_reserved(port) && (port - self.ephemeral.start()).is_multiple_of(2)
    }
}

fn parse_part(part: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_class(range: &str, reserved: &str, class: u8) -> usize {
        let ports = SnatPorts::parse(range, reserved).unwrap();
        (0..=u16::MAX).filter(|port| ports.class(*port) == class).count()
    }

    #[test]
    fn ephemeral_reserved_and_privileged_ports_are_excluded() {
        let ports = SnatPorts::parse("32768\t60999\n", "8080,9000-9002\n").unwrap();
        let candidates = [0, 1023, 1024, 8079, 8080, 8081, 8999, 9000, 9002, 9003, 32767, 32768, 60999, 61000, 65535];
        let allowed: Vec<u16> = candidates.into_iter().filter(|port| ports.class(*port) == PortClass::SNAT).collect();
        assert_eq!(allowed, [1024, 8079, 8081, 8999, 9003, 32767, 61000, 65535]);
        assert!(candidates.into_iter().all(|port| ports.class(port) & PortClass::SHARED == 0));
    }

    #[test]
    fn w02_there_are_enough_ports_whatever_the_host_keeps() {
        const SHARED: u8 = PortClass::SNAT | PortClass::SHARED;
        for (range, reserved, free) in [
            ("1024 65535", "", 0),
            ("1024 65000", "", 535),
            ("2048 65535", "", 1024),
            ("1 65535", "", 0),
            ("32768 60999", "1024-32767,61000-65535", 0),
            ("1024 65535", "1024-65535", 0),
            ("5119 65535", "", 4095),
        ] {
            assert_eq!(of_class(range, reserved, PortClass::SNAT), free, "{range:?} {reserved:?}");
            assert!(of_class(range, reserved, SHARED) >= 28_000, "{range:?} {reserved:?}");
        }
        for (range, free) in [("10240 65535", 9216), ("5120 65535", 4096), ("32768 60999", 36_280)] {
            assert_eq!(of_class(range, "", PortClass::SNAT), free, "{range:?}");
            assert_eq!(of_class(range, "", SHARED), 0, "{range:?}");
        }
    }

    #[test]
    fn w02_what_connect_takes_first_is_left_to_it() {
        let ports = SnatPorts::parse("1025 65535", "1024,2001-2002").unwrap();
        let shared = |port| ports.class(port) & PortClass::SHARED != 0;
        assert_eq!([1023, 1024, 1025, 1026, 1027, 65_535].map(shared), [false, true, false, true, false, false]);
        assert_eq!([2000, 2001, 2002, 2003].map(shared), [true, true, true, false]);
    }

    #[test]
    fn node_ports_that_sockets_may_take_are_counted() {
        let node_ports = 30_000..=32_767;
        for (range, reserved, count) in [
            ("32768 60999", "", 0),
            ("32000 60999", "", 768),
            ("1024 65535", "30000-32767", 0),
            ("1024 65535", "", 2768),
        ] {
            let ports = SnatPorts::parse(range, reserved).unwrap();
            assert_eq!(ports.ephemeral_in(&node_ports), count, "{range:?} {reserved:?}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for (range, reserved) in [("", ""), ("1", ""), ("1 x", ""), ("1 2 3", ""), ("1 2", "x"), ("1 2", "70000")] {
            assert_eq!(SnatPorts::parse(range, reserved), None, "{range:?} {reserved:?}");
        }
    }

    #[test]
    fn this_hosts_own_sysctls_are_readable() {
        SnatPorts::read().unwrap();
    }
}
