//! `waggle ready`, the startup probe: tells whether an instance's agent serves. An agent that serves holds a Unix socket with an
//! abstract name (unix(7)) in its network namespace. The socket vanishes with the process.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

/// The socket of an agent that serves. Nothing is ever sent to it.
#[derive(Debug)]
pub struct Ready(#[expect(dead_code, reason = "only its name is needed")] UnixDatagram);

impl Ready {
    /// Announces that this process serves `instance`. Fails if another process has done so.
    pub fn announce(instance: &str) -> io::Result<Self> {
        UnixDatagram::bind_addr(&name(instance)?).map(Self)
    }
}

/// No agent serves the instance in this network namespace.
#[derive(Debug, thiserror::Error)]
#[error(
    "instance {instance:?} has no serving agent in this network namespace (none runs, or it still waits for the API server or \
     loads its programs)"
)]
pub struct NotReady {
    instance: String,
    source: io::Error,
}

/// Fails if no agent serves the instance.
pub fn check(instance: &str) -> Result<(), NotReady> {
    let connect = || UnixDatagram::unbound()?.connect_addr(&name(instance)?);
    connect().map_err(|source| NotReady { instance: instance.to_owned(), source })
}

fn name(instance: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("waggle/{instance}/ready"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::errors::Report;

    #[test]
    fn an_instance_is_ready_while_its_agent_says_so() {
        let instance = format!("test-{}", std::process::id());
        let refused = Report(&check(&instance).unwrap_err()).to_string();
        assert!(refused.contains(&instance) && refused.contains("refused"), "{refused}");
        let ready = Ready::announce(&instance).unwrap();
        check(&instance).unwrap();
        check(&instance).expect("a check changes nothing");
        assert_eq!(Ready::announce(&instance).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(ready);
        check(&instance).unwrap_err();
    }
}
