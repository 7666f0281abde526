//! A plain client that reads the lists that an agent has read, to learn what the API server itself needs for them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read as _, Write as _},
    thread::scope,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use harness::{
    api_server::{ApiServer, Request},
    lab::Netns,
};

/// Where a streamed list ends.
const END: &[u8] = b"k8s.io/initial-events-end";

/// The time for all lists that the agent has read so far: those of one kind one after the other, the kinds at once.
pub fn read_as(server: &ApiServer, netns: &Netns) -> Result<Duration> {
    let requests = server.requests();
    let targets = targets(&requests);
    if targets.is_empty() {
        bail!("the agent has read no lists");
    }
    netns.inside(|| {
        let begin = Instant::now();
        scope(|scope| {
            let reads: Vec<_> = targets.values().map(|targets| scope.spawn(|| read_all(server, targets))).collect();
            reads.into_iter().try_for_each(|read| match read.join() {
                Ok(outcome) => outcome,
                Err(_) => bail!("a thread that reads lists has panicked"),
            })
        })?;
        Ok(begin.elapsed())
    })?
}

/// Whether this is an answered request for a list or a page of one, or for a streamed list.
pub fn is_list(request: &Request) -> bool {
    request.code == 200 && (!request.is_watch() || request.parameter("sendInitialEvents") == Some("true"))
}

/// The targets of requests for lists, pages and streamed lists included, by path.
fn targets(requests: &[Request]) -> BTreeMap<&str, Vec<String>> {
    let mut targets: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for request in requests.iter().filter(|request| is_list(request)) {
        targets.entry(&request.path).or_default().push(target(request));
    }
    targets
}

fn target(request: &Request) -> String {
    let pairs = request.query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    format!("{}?{}", request.path, pairs.collect::<Vec<_>>().join("&"))
}

/// The text, percent-encoded.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn read_all(server: &ApiServer, targets: &[String]) -> Result<()> {
    targets.iter().try_for_each(|target| read(server, target).with_context(|| format!("read {target}")))
}

fn read(server: &ApiServer, target: &str) -> Result<()> {
    let mut stream = server.connect()?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address())?;
    let mut answer = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let length = stream.read(&mut chunk)?;
        let looked = answer.len().saturating_sub(END.len());
        answer.extend_from_slice(&chunk[..length]);
        if length == 0 || answer[looked..].windows(END.len()).any(|window| window == END) {
            break;
        }
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        bail!("the API server's answer begins with {:?}", String::from_utf8_lossy(&answer[..answer.len().min(80)]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, query: &[(&str, &str)], code: u16) -> Request {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request { serial: 0, path: path.into(), query, authorization: None, at: Instant::now(), code }
    }

    #[test]
    fn lists_and_streamed_lists_are_read_again() {
        let requests = [
            request("/api/v1/nodes", &[("limit", "500"), ("continue", "a/b=")], 200),
            request("/api/v1/nodes", &[("watch", "true"), ("resourceVersion", "9")], 200),
            request("/api/v1/services", &[("watch", "true"), ("sendInitialEvents", "true")], 200),
            request("/api/v1/services", &[], 410),
        ];
        let targets = targets(&requests);
        assert_eq!(targets["/api/v1/nodes"], ["/api/v1/nodes?limit=500&continue=a%2Fb%3D"]);
        assert_eq!(targets["/api/v1/services"], ["/api/v1/services?watch=true&sendInitialEvents=true"]);
    }

    #[test]
    fn what_the_server_does_not_answer_well_is_an_error() {
        let server = ApiServer::start_tls().unwrap();
        let stream = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        assert!(read(&server, "/api/v1/nodes?limit=500").is_ok());
        assert!(read(&server, &format!("/api/v1/nodes?{stream}")).is_ok());
        assert!(read(&server, "/api/v1/nonsense").is_err());
    }
}
