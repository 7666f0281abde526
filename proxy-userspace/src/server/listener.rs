//! Listens on one address and serves HTTP there, with limits for the number of connections and the time of each.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tracing::debug;

use super::connections::OpenConnections;
use crate::logging::errors::Report;

/// How long a request and its response may take together.
const REQUEST: Duration = Duration::from_secs(1);
/// How long to wait before a port in use is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How many connections the kernel queues for `accept`. Clients that send nothing may open all of them: with the shortest time for
/// each (see `connections`), `accept` gets through the queue within a second.
const BACKLOG: i32 = 1024;
/// The largest head of a request, in bytes: the smallest limit that hyper allows.
const REQUEST_HEAD: usize = 8192;

/// A response with its whole body.
pub(super) type HttpResponse = Response<Full<Bytes>>;

/// Serves connections to `listener` until the task is aborted. Resets those whose local address is not `chosen`.
pub(super) async fn serve(
    listener: TcpListener,
    chosen: impl Fn(SocketAddr) -> bool,
    respond: impl Fn(&Request<Incoming>) -> HttpResponse + Clone + Send + Sync + 'static,
) {
    let mut connections = OpenConnections::default();
    loop {
        connections.make_room().await;
        match listener.accept().await {
            Ok((stream, _)) if !stream.local_addr().is_ok_and(&chosen) => reset(&stream),
            Ok((stream, _)) => {
                let respond = respond.clone();
                connections.spawn(async move {
                    // A client that is too slow is cut off and may retry.
                    let _ = timeout(REQUEST, serve_one(stream, respond)).await;
                });
            }
            Err(error) => {
                debug!(error = %Report(&error), "accept a connection");
                sleep(RETRY).await;
            }
        }
    }
}

/// Makes the connection end with an RST when it is dropped.
fn reset(stream: &TcpStream) {
    // If this fails, the connection is closed with a FIN, which is good enough.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Serves one request.
async fn serve_one(stream: TcpStream, respond: impl Fn(&Request<Incoming>) -> HttpResponse) {
    let service = service_fn(|request| {
        let answer = respond(&request);
        async { Ok::<_, Infallible>(answer) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(REQUEST_HEAD);
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        debug!(error = %Report(&error), "serve a request");
    }
}

/// Binds the address, retrying until it is free. Calls `blocked` after the first failure only.
pub(super) async fn bind_with_retries(address: SocketAddr, blocked: impl FnOnce(io::Error)) -> TcpListener {
    let mut blocked = Some(blocked);
    loop {
        match bind(address) {
            Ok(listener) => return listener,
            Err(error) => {
                if let Some(blocked) = blocked.take() {
                    blocked(error);
                }
            }
        }
        sleep(RETRY).await;
    }
}

/// Returns the wildcard address of both families with this port.
pub(super) fn everywhere(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

/// Listens on `address`. The unspecified IPv6 address means both families, or IPv4 if the kernel has no IPv6.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let of = |address: SocketAddr| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    match of(address) {
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) && address == everywhere(address.port()) => {
            of((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}
