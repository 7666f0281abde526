//! Which ports of this host source translation may use at all.

use std::{fs, io, ops::RangeInclusive};

const LOCAL_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// Below this are ports that only root may bind.
const FIRST: u16 = 1024;

/// Ports from 1024 that are neither ephemeral ports of this host nor reserved by its administrator. Node ports are
/// among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnatPorts {
    excluded: Vec<RangeInclusive<u16>>,
}

impl SnatPorts {
    /// As the sysctls of the calling thread's network namespace have it.
    pub fn read() -> io::Result<Self> {
        let (range, reserved) = (fs::read_to_string(LOCAL_RANGE)?, fs::read_to_string(RESERVED)?);
        let unreadable =
            || io::Error::new(io::ErrorKind::InvalidData, format!("{range:?} and {reserved:?} are no ports"));
        Self::parse(&range, &reserved).ok_or_else(unreadable)
    }

    /// From `ip_local_port_range` (two numbers) and `ip_local_reserved_ports` (a list of numbers and ranges).
    pub fn parse(range: &str, reserved: &str) -> Option<Self> {
        let mut ephemeral = range.split_whitespace().map(|number| number.parse::<u16>().ok());
        let (first, last) = (ephemeral.next()??, ephemeral.next()??);
        let reserved = reserved.trim().split(',').filter(|part| !part.is_empty());
        let reserved: Option<Vec<_>> = reserved.map(parse_part).collect();
        let mut excluded = reserved?;
        excluded.push(first..=last);
        ephemeral.next().is_none().then_some(Self { excluded })
    }

    /// Whether it is one of them.
    pub fn contains(&self, port: u16) -> bool {
        port >= FIRST && !self.excluded.iter().any(|range| range.contains(&port))
    }
}

fn parse_part(part: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(ports: &SnatPorts, candidates: &[u16]) -> Vec<u16> {
        candidates.iter().copied().filter(|port| ports.contains(*port)).collect()
    }

    #[test]
    fn ephemeral_reserved_and_privileged_ports_are_excluded() {
        let ports = SnatPorts::parse("32768\t60999\n", "8080,9000-9002\n").unwrap();
        let candidates = [0, 1023, 1024, 8079, 8080, 8081, 8999, 9000, 9002, 9003, 32767, 32768, 60999, 61000, 65535];
        assert_eq!(allowed(&ports, &candidates), [1024, 8079, 8081, 8999, 9003, 32767, 61000, 65535]);
        let none = SnatPorts::parse("1024 65535", "\n").unwrap();
        assert_eq!(allowed(&none, &candidates), [0; 0]);
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
