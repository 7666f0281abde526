//! Destroys connected UDP sockets of given backends (S29) in every network namespace, so that their owners get an error. The
//! caller decides which backends these are, and which sockets reached them through a Service.

mod bytecode;
mod netns;
mod sock_diag;

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket},
};

pub(crate) use netns::Namespaces;
use sock_diag::{SockDiag, SocketFamily, UdpSocket};

/// The result of a search for sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// How many sockets were destroyed.
    pub sockets: usize,
    /// How many sockets the kernel refused to destroy.
    pub refused: usize,
    /// How many namespaces were searched.
    pub namespaces: usize,
    /// How many namespaces could not be searched, and how many processes have an unknown namespace.
    pub unreachable: usize,
}

/// Why sockets can't be destroyed.
#[derive(Debug, thiserror::Error)]
pub enum DestroyError {
    /// The kernel can't destroy UDP sockets, so there is no point in trying again.
    #[error(
        "the kernel can't destroy UDP sockets: build it with CONFIG_INET_UDP_DIAG and CONFIG_INET_DIAG_DESTROY, \
         or run with --udp-termination=false"
    )]
    Unsupported,
    /// The process may not destroy sockets.
    #[error("destroying UDP sockets is not permitted: give the agent CAP_NET_ADMIN and CAP_SYS_ADMIN")]
    NotPermitted,
    /// Namespaces could not be listed.
    #[error("list network namespaces")]
    Namespaces(#[source] io::Error),
    /// The thread that enters the namespaces can't be started, or the socket for the test can't be created.
    #[error("prepare to destroy UDP sockets")]
    Prepare(#[source] io::Error),
}

/// Parses one message of a list of sockets, for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn read(message: &[u8]) {
    if let Ok(Some(socket)) = sock_diag::listed(message) {
        let _ = (socket.cookie(), socket.local(), socket.remote());
    }
}

/// Tests with a socket of its own whether this kernel and this process can destroy UDP sockets.
///
/// To be called once, at the start. No packet leaves the machine.
pub fn check() -> Result<(), DestroyError> {
    let own = StdSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(DestroyError::Prepare)?;
    let address = own.local_addr().map_err(DestroyError::Prepare)?;
    own.connect(address).map_err(DestroyError::Prepare)?;
    let mut diag = SockDiag::open().map_err(unavailable)?;
    let mut found = Vec::new();
    let program = bytecode::remote_is_one_of([address].iter());
    diag.connected_udp(SocketFamily::Inet, program.as_deref(), |socket| found.push(socket)).map_err(unavailable)?;
    // Other sockets may be connected to the same address, but only ours is also bound to it.
    let own = found.iter().find(|socket| socket.local() == address).ok_or(DestroyError::Unsupported)?;
    diag.destroy(own).map_err(unavailable)
}

/// Destroys the connected UDP sockets whose remote address is one of `targets` and for which `ours(cookie, remote)`
/// holds, in every network namespace that has a name or a process.
///
/// An IPv4-mapped remote address counts as IPv4, and is passed to `ours` as IPv4. The owner of a destroyed socket gets
/// ECONNABORTED once, from a waiting or the next receive or from SO_ERROR; sends fail with EDESTADDRREQ, because the
/// socket has lost its remote address. Blocks for tens of microseconds per namespace, and a fraction of one per socket.
pub fn destroy_connected(
    targets: &BTreeSet<SocketAddr>,
    ours: &dyn Fn(u64, SocketAddr) -> bool,
) -> Result<Destroyed, DestroyError> {
    let mut done = Destroyed::default();
    let search = Search::new(targets);
    if search.targets.is_empty() {
        return Ok(done);
    }
    let namespaces = Namespaces::find().map_err(DestroyError::Namespaces)?;
    done.unreachable = namespaces.hidden;
    let visited = namespaces.visit(SockDiag::open, |opened| {
        let searched = opened.and_then(|mut diag| {
            let found = search.run(&mut diag, ours)?;
            destroy_all(&mut diag, found, &mut done)
        });
        match searched {
            Ok(()) => done.namespaces += 1,
            Err(error) if is_unsupported(&error) => return Err(DestroyError::Unsupported),
            Err(_) => done.unreachable += 1,
        }
        Ok(())
    });
    visited.map_err(DestroyError::Prepare)??;
    Ok(done)
}

/// The search for sockets in one namespace.
struct Search {
    targets: BTreeSet<SocketAddr>,
    /// The kernel's first check of IPv4 sockets, as bytecode; `None` for no filter. `filter6` is that of IPv6 sockets.
    filter4: Option<Vec<u8>>,
    filter6: Option<Vec<u8>>,
}

impl Search {
    fn new(targets: &BTreeSet<SocketAddr>) -> Self {
        let targets: BTreeSet<_> =
            targets.iter().map(|target| SocketAddr::new(target.ip().to_canonical(), target.port())).collect();
        let ipv4: Vec<_> = targets.iter().filter(|target| target.is_ipv4()).collect();
        Self {
            filter4: bytecode::remote_is_one_of(ipv4.into_iter()),
            filter6: bytecode::remote_is_one_of(targets.iter()),
            targets,
        }
    }

    /// Returns the sockets to destroy in one namespace.
    fn run(&self, diag: &mut SockDiag, ours: &dyn Fn(u64, SocketAddr) -> bool) -> io::Result<Vec<UdpSocket>> {
        let mut found = Vec::new();
        let mut look = |socket: UdpSocket| {
            let remote = socket.remote();
            if self.targets.contains(&remote) && ours(socket.cookie(), remote) {
                found.push(socket);
            }
        };
        if self.targets.iter().any(SocketAddr::is_ipv4) {
            diag.connected_udp(SocketFamily::Inet, self.filter4.as_deref(), &mut look)?;
        }
        match diag.connected_udp(SocketFamily::Inet6, self.filter6.as_deref(), &mut look) {
            // A kernel without IPv6 has no such sockets.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(found),
            result => result.map(|()| found),
        }
    }
}

/// Destroys `sockets`. The kernel finds a socket by its addresses: of several with the same addresses, it finds the next one only
/// after the first was destroyed.
fn destroy_all(diag: &mut SockDiag, mut sockets: Vec<UdpSocket>, done: &mut Destroyed) -> io::Result<()> {
    loop {
        let before = done.sockets;
        let mut hidden = Vec::new();
        for socket in sockets {
            match diag.destroy(&socket) {
                Ok(()) => done.sockets += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => hidden.push(socket),
                Err(error) if is_unsupported(&error) => return Err(error),
                Err(_) => done.refused += 1,
            }
        }
        if hidden.is_empty() || done.sockets == before {
            // Their owners have closed them, or the kernel finds another socket first that must not be destroyed.
            return Ok(());
        }
        sockets = hidden;
    }
}

/// Converts an error in [`check`] to what it says about the kernel or the process.
fn unavailable(error: io::Error) -> DestroyError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => DestroyError::NotPermitted,
        // The kernel has no sock_diag for this family.
        io::ErrorKind::NotFound => DestroyError::Unsupported,
        _ if is_unsupported(&error) => DestroyError::Unsupported,
        _ => DestroyError::Prepare(error),
    }
}

/// Whether the error says that the kernel can't destroy sockets: EOPNOTSUPP without SOCK_DESTROY, EPROTONOSUPPORT without
/// sock_diag.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT))
}
