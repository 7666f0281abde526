//! Asks a running agent for one of its JSON documents, over HTTP.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::de::DeserializeOwned;

/// How long an agent may take. It answers within a second, unless it counts very many flows.
const WAIT_LIMIT: Duration = Duration::from_secs(5);
/// The largest document, in bytes.
const LARGEST: usize = 64 << 20;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address can't be put into a URL, or the runtime can't be started.
    #[error("ask the agent at {0}")]
    Prepare(SocketAddr, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// There was no response.
    #[error("no agent answers at {0}")]
    Request(SocketAddr, #[source] hyper_util::client::legacy::Error),
    /// The response did not come in time.
    #[error("the agent at {0} has not answered within {seconds} s", seconds = WAIT_LIMIT.as_secs())]
    TooSlow(SocketAddr),
    /// The response was cut short or is too large.
    #[error("read the response from {0}")]
    Body(SocketAddr, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something else answers, such as kube-proxy.
    #[error("what answers at {0} is no agent of this version of Waggle: {1} is {2}")]
    Other(SocketAddr, &'static str, StatusCode),
    /// The body is not the expected document.
    #[error("what answers at {0} is no agent of this version of Waggle: {1} is not understood")]
    Unreadable(SocketAddr, &'static str, #[source] serde_json::Error),
}

/// The agent at the address belongs to another instance.
#[derive(Debug, thiserror::Error)]
#[error("the agent at {address} belongs to instance {found:?}")]
pub struct OtherInstance {
    /// The address.
    pub address: SocketAddr,
    /// The instance that the agent serves.
    pub found: String,
}

/// Waits for the document at `path` of the agent that serves its metrics at `address`. Must not be called in a runtime: see
/// [`request`].
pub fn fetch<T: DeserializeOwned>(address: SocketAddr, path: &'static str) -> Result<T, FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| FetchError::Prepare(address, error.into()))?;
    runtime.block_on(request(address, path))
}

/// Returns the document at `path` of the agent that serves its metrics at `address`.
pub async fn request<T: DeserializeOwned>(address: SocketAddr, path: &'static str) -> Result<T, FetchError> {
    let document = tokio::time::timeout(WAIT_LIMIT, document(address, path)).await;
    let document = document.map_err(|_| FetchError::TooSlow(address))??;
    serde_json::from_slice(&document).map_err(|error| FetchError::Unreadable(address, path, error))
}

async fn document(address: SocketAddr, path: &'static str) -> Result<Bytes, FetchError> {
    let uri = Uri::builder().scheme("http").authority(address.to_string()).path_and_query(path).build();
    let uri = uri.map_err(|error| FetchError::Prepare(address, error.into()))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = client.get(uri).await.map_err(|error| FetchError::Request(address, error))?;
    match response.status() {
        StatusCode::OK => {}
        other => return Err(FetchError::Other(address, path, other)),
    }
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    Ok(body.map_err(|error| FetchError::Body(address, error))?.to_bytes())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener},
        thread,
    };

    use super::*;
    use crate::{
        logging::errors::Report,
        server::status::{PATH, StatusReport},
    };

    /// What `fetch` says of a server that responds like this.
    fn message(response: &'static str) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let length = stream.read(&mut request).unwrap();
                assert!(request[..length].starts_with(b"GET /status HTTP/1.1\r\n"));
                stream.write_all(response.as_bytes()).unwrap();
            });
            Report(&fetch::<StatusReport>(address, PATH).unwrap_err()).to_string().replace(&address.to_string(), "HERE")
        })
    }

    #[test]
    fn what_is_no_agent_is_said_to_be_none() {
        let kube_proxy = message("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        let other = "what answers at HERE is no agent of this version of Waggle: /status is ";
        assert_eq!(kube_proxy, format!("{other}404 Not Found"));
        let page = message("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        assert!(page.starts_with(&format!("{other}not understood: missing field")), "{page}");
        let closed = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap()
        };
        let refused = Report(&fetch::<StatusReport>(closed, PATH).unwrap_err()).to_string();
        assert!(refused.starts_with("no agent answers at ") && refused.contains("refused"), "{refused}");
    }
}
