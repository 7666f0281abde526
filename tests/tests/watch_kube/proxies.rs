//! An API server that only a proxy can reach.

use std::{
    fs, io,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
};

use serde_json::json;

use crate::{
    agent::{Agent, Folder, QUICK},
    server, service,
};

/// Starts a proxy that connects every client to `target`, whatever it asks for. Returns the proxy's address, and the
/// requests that it gets.
fn proxy(target: SocketAddr) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, questions) = channel();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let asked = asked.clone();
            thread::spawn(move || tunnel(client, target, |line| asked.send(line).unwrap_or_default()));
        }
    });
    (address, questions)
}

/// Serves one CONNECT request, and then copies bytes both ways.
fn tunnel(client: TcpStream, target: SocketAddr, asked: impl Fn(String)) -> io::Result<()> {
    let mut from_client = BufReader::new(client.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        from_client.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    asked(lines.join("\n"));
    let (mut to_client, server) = (client, TcpStream::connect(target)?);
    to_client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut to_server, mut from_server) = (server.try_clone()?, server);
    let answers = thread::spawn(move || io::copy(&mut from_server, &mut to_client));
    io::copy(&mut from_client, &mut to_server)?;
    to_server.shutdown(std::net::Shutdown::Both)?;
    answers.join().map_or(Ok(()), |copied| copied.map(drop))
}

#[test]
fn field_s09_the_proxy_of_the_kubeconfig_is_the_way_to_the_api_server() {
    let (server, folder) = (server(), Folder::new());
    server.put(service("a", 80));
    let (address, questions) = proxy(server.address());
    let content = json!({
        // Only the proxy can resolve this name.
        "clusters": [{"name": "test", "cluster": {
            "server": "http://api.invalid:6443",
            "proxy-url": format!("http://us%65r:secret@{address}"),
        }}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    });
    fs::write(folder.path().join("kubeconfig"), content.to_string()).unwrap();
    let mut agent = Agent::start_in(server, folder, QUICK);
    agent.until_port("a", 80);
    agent.until_watching();
    agent.server.put(service("a", 81));
    agent.until_port("a", 81);
    let question = questions.recv().unwrap().to_lowercase();
    assert!(question.starts_with("connect api.invalid:6443 http/1.1\n"), "{question}");
    // user:secret
    assert!(question.contains("proxy-authorization: basic dxnlcjpzzwnyzxq="), "{question}");
}
