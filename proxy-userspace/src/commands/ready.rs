//! Whether an instance's agent serves: what a start-up probe asks. The agent holds a socket from then on whose name says so,
//! in the network namespace that it runs in (abstract names, unix(7)); it goes with the process.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

/// Held by an agent that serves. Nobody sends anything to it.
#[derive(Debug)]
pub struct Ready(#[expect(dead_code, reason = "its name is all that is asked for")] UnixDatagram);

impl Ready {
    /// Says that this process serves `instance`. Fails if another process says so.
    pub fn announce(instance: &str) -> io::Result<Self> {
        UnixDatagram::bind_addr(&name(instance)?).map(Self)
    }
}

/// No agent serves the instance here.
#[derive(Debug, thiserror::Error)]
#[error(
    "instance {instance:?} has no agent that serves, in this network namespace (none runs, or it still waits for the API \
     server or loads its programs)"
)]
pub struct NotReady {
    instance: String,
    source: io::Error,
}

/// `waggle ready`.
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
        check(&instance).expect("asking changes nothing");
        assert_eq!(Ready::announce(&instance).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(ready);
        check(&instance).unwrap_err();
    }
}
