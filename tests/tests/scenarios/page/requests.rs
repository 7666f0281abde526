//! What the page's port answers, and whom.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use harness::scene::{Scene, Setup, WAIT_LIMIT};
use serde_json::{Value, json};

use super::scene;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Makes a request in the node's network namespace; returns the status, the head and the body.
fn request(scene: &Scene, to: &str, method: &str, path: &str, headers: &str) -> io::Result<(u16, String, String)> {
    let address: SocketAddr = to.parse().map_err(io::Error::other)?;
    let exchange = || {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        write!(stream, "{method} {path} HTTP/1.1\r\n{headers}\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok::<_, io::Error>(text)
    };
    let text = scene.node.netns().inside(exchange).map_err(io::Error::other)??;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other(format!("no response: {text:?}")))?;
    let code = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_default();
    Ok((code, head.to_lowercase(), body.to_owned()))
}

/// A document of the page.
fn document(scene: &Scene, path: &str) -> (u16, Value) {
    let (code, _, body) = request(scene, "127.0.0.1:10247", "GET", path, "Host: localhost").unwrap();
    (code, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

#[test]
fn the_page_only_reads_and_only_for_itself() {
    let scene = scene("page-guard");
    let code = |method, path, headers| request(&scene, "127.0.0.1:10247", method, path, headers).unwrap().0;
    for path in ["/", "/page.js", "/page.css", "/icon.svg", "/api/status", "/api/services"] {
        let (code, head, body) = request(&scene, "127.0.0.1:10247", "GET", path, "Host: localhost:10247").unwrap();
        assert_eq!(code, 200, "{path}");
        assert!(!body.is_empty() && head.contains("content-security-policy: default-src 'none';"), "{head}");
        assert!(
            head.contains("x-content-type-options: nosniff") && head.contains("referrer-policy: no-referrer"),
            "{head}"
        );
    }
    assert_eq!(request(&scene, "127.0.0.1:10247", "HEAD", "/", "Host: localhost").unwrap().2, "", "a head alone");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(code(method, "/api/services", "Host: localhost"), 405, "{method}");
    }
    assert_eq!(code("GET", "/", "Host: evil.example"), 403, "a name that was made to lead here");
    assert_eq!(code("GET", "/api/services", "Host: localhost\r\nSec-Fetch-Site: cross-site"), 403);
    assert_eq!(["/nothing", "/api/nothing", "/metrics"].map(|path| code("GET", path, "Host: localhost")), [404; 3]);
}

#[test]
fn the_page_is_on_loopback_only_unless_an_address_is_given_and_off_by_default() {
    let scene = scene("page-where");
    let node = format!("{}:10247", scene.node.v4());
    assert!(request(&scene, &node, "GET", "/", "Host: localhost").is_err(), "it is on loopback only");
    let quiet = Setup::new("page-off").build();
    let waggle = quiet.agent(&[]);
    assert!(request(&quiet, "127.0.0.1:10247", "GET", "/", "Host: localhost").is_err(), "it is off");
    drop(waggle);
    let address = quiet.node.v4().to_string();
    let waggle = quiet.agent(&[&format!("--page={address}:8000")]);
    waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("the page asks for no password")).unwrap();
    let code =
        |host: &str| request(&quiet, &format!("{address}:8000"), "GET", "/", &format!("Host: {host}")).unwrap().0;
    assert_eq!([&address, quiet.node.name(), "evil.example"].map(code), [200, 200, 403]);
}

#[test]
fn documents_are_those_of_the_commands() {
    let scene = scene("page-docs");
    let (code, services) = document(&scene, "/api/services?sort=name");
    assert_eq!((code, &services["count"]), (200, &json!(3)));
    assert_eq!(services["services"][0]["types"], json!(["ClusterIP", "NodePort"]));
    let (code, service) = document(&scene, "/api/service?namespace=default&name=web&port=tcp&protocol=TCP");
    assert_eq!((code, &service["backendCount"]), (200, &json!(2)));
    let (code, gone) = document(&scene, "/api/service?namespace=default&name=gone&port=&protocol=TCP");
    assert_eq!((code, &gone["error"]), (404, &json!("nothing of default/gone TCP is in force, or not any more")));
    let (code, wrong) = document(&scene, "/api/services?sort=age");
    assert!(code == 400 && wrong["error"].as_str().unwrap().starts_with("sort by \"age\""), "{wrong}");
    let (code, wrong) = document(&scene, "/api/explain?client=10.244.1&destination=default/web");
    assert!(code == 400 && wrong["error"].as_str().unwrap().starts_with("read client \"10.244.1\""), "{wrong}");
    let (code, refusals) = document(&scene, "/api/refusals");
    let reasons = refusals["reasons"].as_array().unwrap();
    let refused = reasons.iter().find(|reason| reason["reason"] == "no_backend").unwrap();
    assert!(code == 200 && refused["count"].as_u64().unwrap() > 0, "{refused}");
    assert_eq!(document(&scene, "/api/status").1["health"], json!("healthy"));
}
