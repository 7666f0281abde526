//! The test's side of a server process.

use std::net::SocketAddr;

use super::{
    client::Client,
    error::Result,
    host::Host,
    protocol::{Mode, Request},
};

/// A backend: serves until stopped or dropped.
#[derive(Debug)]
pub struct Server {
    process: Client,
    name: String,
    at: Vec<SocketAddr>,
    /// What the server answers; `None`: it serves SCTP.
    mode: Option<Mode>,
}

impl Server {
    pub(super) fn start(host: &Host, at: &[SocketAddr], mode: Option<Mode>) -> Result<Self> {
        let server = Self { process: Client::start(host)?, name: host.name().to_owned(), at: at.to_vec(), mode };
        server.resume()?;
        Ok(server)
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The first word of the server's answers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The addresses that it serves at.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.at
    }

    /// Closes the listening sockets. The kernel then refuses new connections and datagrams; accepted connections are
    /// still answered.
    pub fn stop(&self) -> Result<()> {
        self.process.call(&Request::Unlisten)?;
        Ok(())
    }

    /// Listens again after `stop`.
    pub fn resume(&self) -> Result<()> {
        for at in &self.at {
            let (name, at) = (self.name.clone(), *at);
            self.process.call(&match self.mode {
                Some(mode) => Request::Listen { name, at, mode },
                None => Request::ListenSctp { name, at },
            })?;
        }
        Ok(())
    }
}
