//! A Prometheus beside an agent, in its node's network.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use harness::{
    lab::{Netns, scratch},
    scene::Scene,
};
use serde_json::{Value, json};

use super::folder;

const ADDRESS: &str = "127.0.0.1:9090";
const TIMEOUT: Duration = Duration::from_secs(5);

/// A running Prometheus, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Prometheus<'a> {
    netns: &'a Netns,
    child: Child,
    folder: PathBuf,
}

impl<'a> Prometheus<'a> {
    /// Starts a Prometheus that scrapes the node's agent every second, with the rules of `deploy/monitoring`.
    pub(super) fn start(scene: &'a Scene) -> Self {
        let netns = scene.node.netns();
        let own = scratch("prometheus");
        fs::create_dir_all(&own).expect("make a folder");
        let rules = folder().canonicalize().expect("the folder").join("rules.yaml");
        let target = json!({ "targets": ["127.0.0.1:10249"], "labels": { "instance": scene.node.name() } });
        let configuration = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "scrape_configs": [{ "job_name": "waggle", "honor_labels": true, "static_configs": [target] }],
            "rule_files": [rules],
        });
        fs::write(own.join("prometheus.yaml"), configuration.to_string()).expect("write its configuration");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", own.join("prometheus.yaml").display()));
        command.arg(format!("--storage.tsdb.path={}", own.join("data").display()));
        command.arg(format!("--web.listen-address={ADDRESS}")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = netns.inside(|| command.spawn()).expect("enter a namespace").expect("start prometheus");
        Self { netns, child, folder: own }
    }

    /// The result of a query, or the reason why Prometheus refuses it.
    pub(super) fn query(&self, query: &str) -> io::Result<Result<Vec<Value>, String>> {
        let encoded: Vec<String> = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let reply = self.get(&format!("/api/v1/query?query={}", encoded.concat()))?;
        Ok(match reply["data"]["result"].as_array() {
            Some(result) => Ok(result.clone()),
            None => Err(reply["error"].to_string()),
        })
    }

    /// A page of Prometheus' API.
    pub(super) fn get(&self, path: &str) -> io::Result<Value> {
        let text = self.netns.inside(|| get(path)).map_err(io::Error::other)??;
        let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        serde_json::from_str(body).map_err(io::Error::other)
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn get(path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(ADDRESS)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the body comes as it is, and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
