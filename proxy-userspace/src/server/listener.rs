//! Listens on one address and serves what connects: at most so many at a time, and none for longer than its time.

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

use super::connections::Connections;
use crate::logging::errors::Report;

/// How long a request and its response may take.
const REQUEST: Duration = Duration::from_secs(1);
/// How long to wait before a port in use is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How many connections the kernel queues. If clients that send nothing have opened all of them, and each is given its shortest time
/// (see `connections`), the queue is through within a second; what finds no place in it takes longer.
const BACKLOG: i32 = 1024;
/// The largest head of a request in bytes, which is the least that hyper allows.
const REQUEST_HEAD: usize = 8192;

/// A response, whose body is known as a whole.
pub(super) type HttpResponse = Response<Full<Bytes>>;

/// Serves what connects to `listener` until the task is aborted. Connections to addresses that are not `chosen` are reset.
pub(super) async fn serve(
    listener: TcpListener,
    chosen: impl Fn(SocketAddr) -> bool,
    respond: impl Fn(&Request<Incoming>) -> HttpResponse + Clone + Send + Sync + 'static,
) {
    let mut connections = Connections::default();
    loop {
        connections.make_room().await;
        match listener.accept().await {
            Ok((stream, _)) if !stream.local_addr().is_ok_and(&chosen) => reset(&stream),
            Ok((stream, _)) => {
                let respond = respond.clone();
                connections.spawn(async move {
                    // A client that is too slow tries again.
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

/// Makes the connection end with a reset, without a response.
fn reset(stream: &TcpStream) {
    // If that fails, the connection is closed, which tells the client enough.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// One request and its response.
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

/// Binds the address as soon as it is free. If it is not, `blocked` is called once.
pub(super) async fn bind_patiently(address: SocketAddr, blocked: impl FnOnce(io::Error)) -> TcpListener {
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

/// Every address of the node, with this port.
pub(super) fn everywhere(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

/// A listener. The unspecified IPv6 address is for both families, or for IPv4 if the kernel has no IPv6.
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
