//! Listens on one port, on all addresses of both families: some load balancers send health checks to the balanced
//! address, which the node may have only by a route.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tracing::debug;

use super::{HealthByPort, blocked::Blocked, connections::Connections, response::response};
use crate::{config::NodePortAddresses, logging::errors::Report};

/// How long a request and its response may take.
const REQUEST: Duration = Duration::from_secs(1);
/// How long to wait before a port in use is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How many connections the kernel queues.
const BACKLOG: i32 = 128;

/// The largest head of a request in bytes, which is the least that hyper allows.
const REQUEST_HEAD: usize = 8192;

/// Serves health checks at `port` on the addresses that `chosen` allows, until the task is aborted.
pub(super) async fn listen(
    port: u16,
    chosen: NodePortAddresses,
    health: watch::Receiver<HealthByPort>,
    blocked: mpsc::UnboundedSender<Blocked>,
) {
    let listener = bind_patiently(port, &health, &blocked).await;
    let mut connections = Connections::default();
    loop {
        connections.make_room().await;
        match listener.accept().await {
            Ok((stream, _)) if !is_chosen(&stream, &chosen) => reset(&stream),
            Ok((stream, _)) => {
                let health = health.clone();
                connections.spawn(async move {
                    // A client that is too slow tries again.
                    let _ = timeout(REQUEST, serve_one(stream, port, health)).await;
                });
            }
            Err(error) => {
                debug!(port, error = %Report(&error), "accept the connection of a health check");
                sleep(RETRY).await;
            }
        }
    }
}

/// Whether the client dialled an address on which health checks are served.
fn is_chosen(stream: &TcpStream, chosen: &NodePortAddresses) -> bool {
    stream.local_addr().is_ok_and(|local| chosen.allows(local.ip().to_canonical()))
}

/// Makes the connection end with a reset, without a response.
fn reset(stream: &TcpStream) {
    // If that fails, the connection is closed, which tells the client enough.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// One request and its response.
async fn serve_one(stream: TcpStream, port: u16, health: watch::Receiver<HealthByPort>) {
    let service = service_fn(|_| async { Ok::<_, Infallible>(response(health.borrow().get(&port))) });
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(REQUEST_HEAD);
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        debug!(port, error = %Report(&error), "serve a health check");
    }
}

/// Binds the port as soon as it is free; reports it once if it is not.
async fn bind_patiently(
    port: u16,
    health: &watch::Receiver<HealthByPort>,
    blocked: &mpsc::UnboundedSender<Blocked>,
) -> TcpListener {
    let mut is_reported = false;
    loop {
        match bind(port) {
            Ok(listener) => return listener,
            Err(error) if !is_reported => {
                is_reported = true;
                let service = health.borrow().get(&port).map(|health| health.service.to_string()).unwrap_or_default();
                let _ = blocked.send(Blocked { service, port, error });
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}

/// A listener for both families, or for IPv4 if the kernel has no IPv6.
fn bind(port: u16) -> io::Result<TcpListener> {
    let of = |domain, address: SocketAddr| {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if domain == Domain::IPV6 {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    match of(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            of(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into())
        }
        bound => bound,
    }
}
