//! Asks a running agent for its status, over HTTP.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

use crate::server::status::{PATH, StatusReport};

/// How long an agent may take. It answers within a second, unless it counts very many flows.
const WAIT_LIMIT: Duration = Duration::from_secs(5);
/// The largest document, in bytes.
const LARGEST: usize = 16 << 20;

/// Why an agent's status is not known.
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
    #[error("what answers at {0} is no agent of this version of Waggle: {path} is {1}", path = PATH)]
    Other(SocketAddr, StatusCode),
    /// The document is not a status.
    #[error("what answers at {0} is no agent of this version of Waggle: {path} is not understood", path = PATH)]
    Unreadable(SocketAddr, #[source] serde_json::Error),
}

/// Returns the status of the agent that serves its metrics at `address`.
pub fn fetch(address: SocketAddr) -> Result<StatusReport, FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| FetchError::Prepare(address, error.into()))?;
    let document = runtime.block_on(async { tokio::time::timeout(WAIT_LIMIT, document(address)).await });
    let document = document.map_err(|_| FetchError::TooSlow(address))??;
    serde_json::from_slice(&document).map_err(|error| FetchError::Unreadable(address, error))
}

async fn document(address: SocketAddr) -> Result<Bytes, FetchError> {
    let uri = Uri::builder().scheme("http").authority(address.to_string()).path_and_query(PATH).build();
    let uri = uri.map_err(|error| FetchError::Prepare(address, error.into()))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = client.get(uri).await.map_err(|error| FetchError::Request(address, error))?;
    match response.status() {
        StatusCode::OK => {}
        other => return Err(FetchError::Other(address, other)),
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
    use crate::logging::errors::Report;

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
            Report(&fetch(address).unwrap_err()).to_string().replace(&address.to_string(), "HERE")
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
        let refused = Report(&fetch(closed).unwrap_err()).to_string();
        assert!(refused.starts_with("no agent answers at ") && refused.contains("refused"), "{refused}");
    }
}
