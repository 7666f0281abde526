//! Generates the bytecode by which the kernel filters sockets while it lists them, so that it does not send them all. The format is
//! that of `struct inet_diag_bc_op` and `struct inet_diag_hostcond` in linux/inet_diag.h.

use std::net::{IpAddr, SocketAddr};

use netlink_packet_sock_diag::{AF_INET, AF_INET6};

/// The most targets of a filter. With more, checking every condition on every socket costs more than receiving all sockets.
const MAX_TARGETS: usize = 64;

/// Size in bytes of an instruction without operands.
const OP_LEN: u8 = 4;
const OP_JUMP: u8 = 1;
const OP_REMOTE: u8 = 8;

/// Returns a program that accepts sockets whose remote address and port are one of `targets`, and IPv6 sockets whose remote address
/// is the IPv4-mapped form of one. `None` means no filter: there are too many targets for a filter to pay, or none at all.
pub(super) fn remote_is_one_of<'a>(targets: impl ExactSizeIterator<Item = &'a SocketAddr>) -> Option<Vec<u8>> {
    if targets.len() > MAX_TARGETS {
        return None;
    }
    let conditions: Vec<_> = targets.map(|target| condition(*target)).collect();
    let mut left: usize = conditions.iter().map(|condition| condition.len() + usize::from(OP_LEN)).sum();
    let mut program = Vec::with_capacity(left);
    for condition in conditions {
        left -= condition.len() + usize::from(OP_LEN);
        program.extend(condition);
        if left > 0 {
            // No jump follows the last condition.
            let end = u16::try_from(left).expect("a program of so few targets fits");
            program.extend(op(OP_JUMP, OP_LEN, end));
        }
    }
    (!program.is_empty()).then_some(program)
}

/// Returns a condition. If the remote address is `target`, the program continues with the next instruction, the jump to the end.
/// Otherwise it skips that instruction; after the last condition it thereby jumps past the end, which rejects the socket.
fn condition(target: SocketAddr) -> Vec<u8> {
    let (family, prefix, octets) = match target.ip() {
        IpAddr::V4(ip) => (AF_INET, 32, ip.octets().to_vec()),
        IpAddr::V6(ip) => (AF_INET6, 128, ip.octets().to_vec()),
    };
    let len = OP_LEN + 8 + prefix / 8;
    let op = op(OP_REMOTE, len, u16::from(len) + u16::from(OP_LEN));
    [&op, &[family, prefix, 0, 0], &u32::from(target.port()).to_ne_bytes(), &octets[..]].concat()
}

/// Returns an instruction. `yes` and `no` are the offsets in bytes at which to continue.
fn op(code: u8, yes: u8, no: u16) -> [u8; 4] {
    let no = no.to_ne_bytes();
    [code, yes, no[0], no[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(targets: &[&str]) -> Option<Vec<u8>> {
        let targets: Vec<SocketAddr> = targets.iter().map(|target| target.parse().unwrap()).collect();
        remote_is_one_of(targets.iter())
    }

    /// Runs the program as the kernel does. `remote` is the index of the condition that holds.
    fn accepts(program: &[u8], remote: Option<usize>) -> bool {
        let (mut at, mut condition) = (0, 0);
        while at < program.len() {
            let no = usize::from(u16::from_ne_bytes([program[at + 2], program[at + 3]]));
            let yes = program[at] == OP_REMOTE && remote == Some(condition);
            condition += usize::from(program[at] == OP_REMOTE);
            at += if yes { usize::from(program[at + 1]) } else { no };
        }
        at == program.len()
    }

    #[test]
    fn s29_filter_accepts_exactly_its_targets() {
        let program = program(&["10.0.0.1:53", "[fd00::1]:53", "10.0.0.2:5353"]).unwrap();
        assert_eq!(program.len(), 16 + 4 + 28 + 4 + 16);
        for remote in 0..3 {
            assert!(accepts(&program, Some(remote)));
        }
        assert!(!accepts(&program, None));
    }

    #[test]
    fn s29_filter_is_left_out_where_it_does_not_pay() {
        assert_eq!(program(&[]), None);
        assert_eq!(program(&["10.0.0.1:53"; MAX_TARGETS + 1]), None);
        assert!(program(&["[fd00::1]:53"; MAX_TARGETS]).is_some());
    }
}
