//! Response bodies that are written piece by piece, where silence and slowness are injected. It must not know what
//! they carry.

use std::{convert::Infallible, sync::Arc};

use axum::body::{Body, Bytes};
use futures::stream;
use tokio::sync::mpsc;

use super::shared::Shared;

/// The writing end of a response body. Dropping it ends the body.
pub(super) struct Writer {
    shared: Arc<Shared>,
    serial: u64,
    chunks: mpsc::Sender<Bytes>,
}

/// The error after the client has closed the connection.
pub(super) struct Closed;

/// A body and its writer, for the request with this serial number.
pub(super) fn body(shared: Arc<Shared>, serial: u64) -> (Writer, Body) {
    let (chunks, receiver) = mpsc::channel::<Bytes>(1);
    let stream = stream::unfold(receiver, async |mut receiver| {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(bytes), receiver))
    });
    (Writer { shared, serial, chunks }, Body::from_stream(stream))
}

impl Writer {
    /// Sends bytes, or stays silent for ever if a fault says so.
    pub(super) async fn write(&self, bytes: Bytes) -> Result<(), Closed> {
        let Some(slow) = self.shared.state().faults.slow else {
            return self.send(bytes).await;
        };
        for chunk in bytes.chunks(slow.chunk.max(1)) {
            tokio::time::sleep(slow.pause).await;
            self.send(Bytes::copy_from_slice(chunk)).await?;
        }
        Ok(())
    }

    /// Resolves when the client has closed the connection.
    pub(super) async fn closed(&self) {
        self.chunks.closed().await;
    }

    /// Returns if this request has not been silenced; else it waits until the client has closed the connection.
    pub(super) async fn unless_silent(&self) -> Result<(), Closed> {
        if self.serial < self.shared.state().faults.silent_before {
            self.chunks.closed().await;
            return Err(Closed);
        }
        Ok(())
    }

    async fn send(&self, bytes: Bytes) -> Result<(), Closed> {
        self.unless_silent().await?;
        self.chunks.send(bytes).await.map_err(|_| Closed)
    }
}
