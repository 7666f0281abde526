//! Tells the owners of connected UDP sockets that their backend is gone (S29): the kernel destroys the sockets,
//! in whichever network namespace they are. Which backends are gone, and which sockets came to them through a
//! Service, is the caller's knowledge.

mod filter;
mod netns;
mod sock_diag;

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket},
};

use netns::Namespaces;
use sock_diag::{SockDiag, SocketFamily, UdpSocket};

/// What came of a termination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminated {
    /// Sockets destroyed.
    pub sockets: usize,
    /// Sockets that should have been destroyed, but the kernel refused.
    pub refused: usize,
    /// Namespaces searched.
    pub namespaces: usize,
    /// Namespaces, or processes in unknown ones, that could not be looked at.
    pub unreachable: usize,
}

/// Why sockets can't be terminated.
#[derive(Debug, thiserror::Error)]
pub enum TerminationError {
    /// The kernel lacks the feature. It will not come: ask no more.
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
    /// No thread to enter the namespaces with, or no socket to try with.
    #[error("prepare to destroy UDP sockets")]
    Prepare(#[source] io::Error),
}

/// Tries on a socket of its own whether this kernel and this process can destroy UDP sockets.
///
/// Meant to be asked once, at the start. Takes no packet out of the machine.
pub fn check() -> Result<(), TerminationError> {
    let own = StdSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(TerminationError::Prepare)?;
    let address = own.local_addr().map_err(TerminationError::Prepare)?;
    own.connect(address).map_err(TerminationError::Prepare)?;
    let mut diag = SockDiag::open().map_err(unavailable)?;
    let mut found = Vec::new();
    let program = filter::remote_is_one_of([address].iter());
    diag.connected_udp(SocketFamily::Inet, program.as_deref(), |socket| found.push(socket)).map_err(unavailable)?;
    // Others may be connected to the same address; whoever has it as its own is ours.
    let own = found.iter().find(|socket| socket.local() == address).ok_or(TerminationError::Unsupported)?;
    diag.destroy(own).map_err(unavailable)
}

/// Destroys the connected UDP sockets whose remote is one of `targets` and for which `ours(cookie, remote)` holds,
/// in every network namespace that has a name or a process.
///
/// A mapped IPv6 remote counts, and is shown to `ours`, as IPv4. What the owner of a destroyed socket sees: its
/// waiting or next receive, and SO_ERROR, say ECONNABORTED once; sends say EDESTADDRREQ, for the socket has lost
/// its remote. Blocks while it works; a namespace costs tens of microseconds, and each socket in it a fraction.
pub fn terminate(
    targets: &BTreeSet<SocketAddr>,
    ours: &dyn Fn(u64, SocketAddr) -> bool,
) -> Result<Terminated, TerminationError> {
    let mut done = Terminated::default();
    let search = Search::new(targets);
    if search.targets.is_empty() {
        return Ok(done);
    }
    let namespaces = Namespaces::find().map_err(TerminationError::Namespaces)?;
    done.unreachable = namespaces.hidden;
    let visited = namespaces.visit(SockDiag::open, |opened| {
        let searched = opened.and_then(|mut diag| {
            let found = search.run(&mut diag, ours)?;
            destroy_all(&mut diag, found, &mut done)
        });
        match searched {
            Ok(()) => done.namespaces += 1,
            Err(error) if is_unsupported(&error) => return Err(TerminationError::Unsupported),
            Err(_) => done.unreachable += 1,
        }
        Ok(())
    });
    visited.map_err(TerminationError::Prepare)??;
    Ok(done)
}

/// What to look for in each namespace.
struct Search {
    targets: BTreeSet<SocketAddr>,
    /// The filters are for the kernel's cheap first look.
    filter4: Option<Vec<u8>>,
    filter6: Option<Vec<u8>>,
}

impl Search {
    fn new(targets: &BTreeSet<SocketAddr>) -> Self {
        let targets: BTreeSet<_> =
            targets.iter().map(|target| SocketAddr::new(target.ip().to_canonical(), target.port())).collect();
        let ipv4: Vec<_> = targets.iter().filter(|target| target.is_ipv4()).collect();
        Self {
            filter4: filter::remote_is_one_of(ipv4.into_iter()),
            filter6: filter::remote_is_one_of(targets.iter()),
            targets,
        }
    }

    /// The sockets to destroy in one namespace.
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

/// The kernel finds a socket by its addresses: of several that share them, the next appears when one has gone.
fn destroy_all(diag: &mut SockDiag, mut sockets: Vec<UdpSocket>, done: &mut Terminated) -> io::Result<()> {
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
            // Closed by their owners meanwhile, or behind a socket that is not ours to destroy.
            return Ok(());
        }
        sockets = hidden;
    }
}

/// What an error of the first attempts says about this kernel.
fn unavailable(error: io::Error) -> TerminationError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => TerminationError::NotPermitted,
        // No family to ask.
        io::ErrorKind::NotFound => TerminationError::Unsupported,
        _ if is_unsupported(&error) => TerminationError::Unsupported,
        _ => TerminationError::Prepare(error),
    }
}

/// A kernel without SOCK_DESTROY answers EOPNOTSUPP, one without sock_diag has no such protocol.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT))
}
