//! Asks a running agent for one of its JSON documents, over HTTP.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
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

/// A document, and its entity tag if the agent has given one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged<T> {
    /// The document.
    pub document: T,
    /// The tag, for the next request.
    pub tag: Option<HeaderValue>,
}

/// Waits for the document at `path` of the agent that serves its metrics at `address`. Must not be called in a runtime: see
/// [`request_changed`].
pub fn fetch<T: DeserializeOwned>(address: SocketAddr, path: &'static str) -> Result<T, FetchError> {
    wait(address, async { Ok(read(address, path, &get(address, path, None).await?)?.document) })
}

/// Waits for the document like [`fetch`], unless it still has this tag: then there is none.
pub fn fetch_changed<T: DeserializeOwned>(
    address: SocketAddr,
    path: &'static str,
    tag: Option<HeaderValue>,
) -> Result<Option<Tagged<T>>, FetchError> {
    wait(address, request_changed(address, path, tag))
}

/// Returns the document at `path` of the agent that serves its metrics at `address`; `None` if it still has this tag.
pub async fn request_changed<T: DeserializeOwned>(
    address: SocketAddr,
    path: &'static str,
    tag: Option<HeaderValue>,
) -> Result<Option<Tagged<T>>, FetchError> {
    let response = get(address, path, tag).await?;
    (response.status() == StatusCode::OK).then(|| read(address, path, &response)).transpose()
}

fn wait<T>(address: SocketAddr, request: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| FetchError::Prepare(address, error.into()))?;
    runtime.block_on(request)
}

fn read<T: DeserializeOwned>(
    address: SocketAddr,
    path: &'static str,
    response: &Response<Bytes>,
) -> Result<Tagged<T>, FetchError> {
    let document = serde_json::from_slice(response.body());
    let document = document.map_err(|error| FetchError::Unreadable(address, path, error))?;
    Ok(Tagged { document, tag: response.headers().get(header::ETAG).cloned() })
}

/// Returns the response with a document, or the one that says that it still has this tag.
async fn get(address: SocketAddr, path: &'static str, tag: Option<HeaderValue>) -> Result<Response<Bytes>, FetchError> {
    let response = tokio::time::timeout(WAIT_LIMIT, get_slowly(address, path, tag)).await;
    response.map_err(|_| FetchError::TooSlow(address))?
}

async fn get_slowly(
    address: SocketAddr,
    path: &'static str,
    tag: Option<HeaderValue>,
) -> Result<Response<Bytes>, FetchError> {
    let uri = Uri::builder().scheme("http").authority(address.to_string()).path_and_query(path).build();
    let uri = uri.map_err(|error| FetchError::Prepare(address, error.into()))?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = uri;
    let has_tag = tag.is_some();
    request.headers_mut().extend(tag.map(|tag| (header::IF_NONE_MATCH, tag)));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.map_err(|error| FetchError::Request(address, error))?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if has_tag => {}
        other => return Err(FetchError::Other(address, path, other)),
    }
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LARGEST).collect().await;
    Ok(Response::from_parts(head, body.map_err(|error| FetchError::Body(address, error))?.to_bytes()))
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

    /// Asks a server that responds like this by `ask`. The head of the request must have all of `heads`.
    fn asked<T>(response: &'static str, heads: &[&str], ask: impl FnOnce(SocketAddr) -> T) -> (SocketAddr, T) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::scope(|scope| {
            let server = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let length = stream.read(&mut request).unwrap();
                stream.write_all(response.as_bytes()).unwrap();
                String::from_utf8(request[..length].to_vec()).unwrap()
            });
            let answer = ask(address);
            let request = server.join().unwrap();
            assert!(heads.iter().all(|head| request.contains(head)), "{request}");
            (address, answer)
        })
    }

    /// What `fetch` says of a server that responds like this.
    fn message(response: &'static str) -> String {
        let (address, status) =
            asked(response, &["GET /status HTTP/1.1\r\n"], |address| fetch::<StatusReport>(address, PATH));
        Report(&status.unwrap_err()).to_string().replace(&address.to_string(), "HERE")
    }

    #[test]
    fn a_document_that_has_not_changed_is_not_sent_again() {
        let ask = |response, heads: &[&str], tag: Option<&'static str>| {
            let tag = tag.map(HeaderValue::from_static);
            asked(response, heads, |address| fetch_changed::<Vec<u8>>(address, PATH, tag)).1
        };
        let first = "HTTP/1.1 200 OK\r\netag: \"a\"\r\ncontent-length: 3\r\n\r\n[1]";
        let known = ask(first, &[], None).unwrap().unwrap();
        assert_eq!(known, Tagged { document: vec![1], tag: Some(HeaderValue::from_static("\"a\"")) });
        let unchanged = "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n";
        assert_eq!(ask(unchanged, &["if-none-match: \"a\"\r\n"], Some("\"a\"")).unwrap(), None);
        let error = ask(unchanged, &[], None).unwrap_err();
        assert!(matches!(error, FetchError::Other(.., StatusCode::NOT_MODIFIED)), "nothing was known");
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
