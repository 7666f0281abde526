//! The server's own thread: its listener and connections. It must not know what it serves.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    thread::{self, JoinHandle},
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// An order to the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Close every connection.
    Cut,
    /// Close the listener and every connection: new ones are refused.
    Stop,
    /// Listen again on the same address.
    Listen,
}

/// The running thread. Dropping it ends the thread and closes everything.
#[derive(Debug)]
pub(super) struct Thread {
    orders: Option<mpsc::UnboundedSender<(Order, oneshot::Sender<io::Result<()>>)>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    /// Serves on a thread that shares the caller's network namespace; by TLS if there is an acceptor.
    pub(super) fn start(listener: StdListener, router: Router, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (orders, received) = mpsc::unbounded_channel();
        let server = Server { address, listener: Some(listener), router, tls, connections: JoinSet::new() };
        let thread = thread::Builder::new()
            .name("api-server".to_owned())
            .spawn(move || runtime.block_on(server.run(received)))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Sends an order and waits until it is carried out.
    pub(super) fn order(&self, order: Order) -> io::Result<()> {
        let gone = || io::Error::other("the api server's thread has ended");
        let (done, waiting) = oneshot::channel();
        self.orders.as_ref().ok_or_else(gone)?.send((order, done)).map_err(|_| gone())?;
        // Not `blocking_recv`: that panics on a runtime's thread, where asynchronous tests are.
        futures::executor::block_on(waiting).map_err(|_| gone())?
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread is a bug of the harness, and has printed its own message.
            let _ = thread.join();
        }
    }
}

struct Server {
    address: SocketAddr,
    listener: Option<TcpListener>,
    router: Router,
    tls: Option<TlsAcceptor>,
    connections: JoinSet<()>,
}

impl Server {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<(Order, oneshot::Sender<io::Result<()>>)>) {
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((order, done)) = order else { return };
                    // The sender of the order may have stopped waiting.
                    let _ = done.send(self.obey(order).await);
                }
                stream = accept(self.listener.as_ref()) => {
                    self.connections.spawn(serve(stream, self.router.clone(), self.tls.clone()));
                }
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Cut => self.connections.shutdown().await,
            Order::Stop => {
                self.listener = None;
                self.connections.shutdown().await;
            }
            Order::Listen => self.listener = Some(TcpListener::bind(self.address).await?),
        }
        Ok(())
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    if let Some(listener) = listener {
        loop {
            // Small events must not wait for acknowledgements of earlier ones.
            if let Ok((stream, _)) = listener.accept().await
                && stream.set_nodelay(true).is_ok()
            {
                return stream;
            }
        }
    }
    std::future::pending().await
}

// An error of one connection concerns its client only.
async fn serve(stream: TcpStream, router: Router, tls: Option<TlsAcceptor>) {
    let Some(tls) = tls else { return serve_http(stream, router).await };
    if let Ok(stream) = tls.accept(stream).await {
        serve_http(stream, router).await;
    }
}

async fn serve_http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let _ = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
}
