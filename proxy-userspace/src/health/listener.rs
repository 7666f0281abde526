//! Listens at one port, on all addresses of both families: load balancers ask at the address that they balance, too, which
//! the node may have by a route only.

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

use super::{Answers, answer::answer, blocked::Blocked, connections::Connections};
use crate::config::NodePortAddresses;

/// How long a question and its answer may take.
const QUESTION: Duration = Duration::from_secs(1);
/// How long until a port that somebody else has is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How many connections the kernel holds for us.
const BACKLOG: i32 = 128;

/// The largest head of a request, in bytes: the least that hyper allows.
const REQUEST_HEAD: usize = 8192;

/// Answers at `port` on the addresses that `chosen` allows, until the task is ended.
pub(super) async fn listen(
    port: u16,
    chosen: NodePortAddresses,
    answers: watch::Receiver<Answers>,
    blocked: mpsc::UnboundedSender<Blocked>,
) {
    let listener = bind_patiently(port, &answers, &blocked).await;
    let mut connections = Connections::default();
    loop {
        connections.make_room().await;
        match listener.accept().await {
            Ok((stream, _)) if !is_chosen(&stream, &chosen) => reset(&stream),
            Ok((stream, _)) => {
                let answers = answers.clone();
                connections.spawn(async move {
                    // A client that is too slow asks again.
                    let _ = timeout(QUESTION, converse(stream, port, answers)).await;
                });
            }
            Err(error) => {
                debug!(port, %error, "accept a load balancer's connection");
                sleep(RETRY).await;
            }
        }
    }
}

/// Whether the client dialled an address where health checks are answered.
fn is_chosen(stream: &TcpStream, chosen: &NodePortAddresses) -> bool {
    stream.local_addr().is_ok_and(|local| chosen.allows(local.ip().to_canonical()))
}

/// Makes the stream end in a reset, without an answer.
fn reset(stream: &TcpStream) {
    // Where that fails, the client sees the connection end, which says the same.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// One question, one answer.
async fn converse(stream: TcpStream, port: u16, answers: watch::Receiver<Answers>) {
    let service = service_fn(|_| async { Ok::<_, Infallible>(answer(answers.borrow().get(&port))) });
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(REQUEST_HEAD);
    http.timer(TokioTimer::new()).header_read_timeout(QUESTION);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        debug!(port, %error, "answer a load balancer");
    }
}

/// Binds the port as soon as it is free, and says it if it is not.
async fn bind_patiently(
    port: u16,
    answers: &watch::Receiver<Answers>,
    blocked: &mpsc::UnboundedSender<Blocked>,
) -> TcpListener {
    let mut is_told = false;
    loop {
        match bind(port) {
            Ok(listener) => return listener,
            Err(error) if !is_told => {
                is_told = true;
                let service = answers.borrow().get(&port).map(|answer| answer.service.to_string()).unwrap_or_default();
                let _ = blocked.send(Blocked { service, port, error });
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}

/// A listener for both families, or for IPv4 where the kernel has no other.
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
