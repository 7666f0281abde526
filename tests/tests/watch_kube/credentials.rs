//! Tokens that expire, and settings that can't work.

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use harness::api_server::ApiServer;
use proxy_userspace::watch::kube::{Kube, KubeConfig, KubeError};
use serde_json::json;

use crate::{
    agent::{Agent, DEADLINE, Folder, QUICK},
    server, service,
};

fn until_refused(agent: &Agent) {
    agent.until_requested("a refused token", |requests| requests.iter().any(|request| request.code == 401));
}

#[test]
fn s30_an_expired_token_is_read_again_from_the_kubeconfig() {
    let server = server();
    server.set_token(Some("old"));
    let mut agent = Agent::listed(server, QUICK);
    agent.until_watching();
    agent.server.set_token(Some("new"));
    agent.server.cut().unwrap();
    until_refused(&agent);
    agent.server.put(service("a", 80));
    agent.server.kubeconfig(agent.folder.path()).unwrap();
    agent.until_port("a", 80);
    assert!(agent.listed.values().all(|count| *count == 1), "{:?}", agent.listed);
}

fn write_token_file_kubeconfig(server: &ApiServer, folder: &Path) {
    let content = json!({
        "clusters": [{"name": "test", "cluster": {"server": server.url()}}],
        "users": [{"name": "test", "user": {"tokenFile": folder.join("token")}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    });
    fs::write(folder.join("kubeconfig"), content.to_string()).unwrap();
}

#[test]
fn s30_an_expired_token_is_read_again_from_its_file() {
    let (server, folder) = (server(), Folder::new());
    server.set_token(Some("old"));
    fs::write(folder.path().join("token"), "old").unwrap();
    write_token_file_kubeconfig(&server, folder.path());
    let mut agent = Agent::start_in(server, folder, QUICK);
    agent.until("everything is listed", |agent| agent.listed.len() == 4);
    agent.until_watching();
    agent.server.set_token(Some("new"));
    fs::write(agent.folder.path().join("token"), "new").unwrap();
    agent.server.cut().unwrap();
    agent.server.put(service("a", 80));
    agent.until_port("a", 80);
}

#[test]
fn s30_a_kubeconfig_that_vanishes_leaves_the_old_credentials() {
    let server = server();
    let mut agent = Agent::listed(server, QUICK);
    agent.until_watching();
    fs::remove_file(agent.folder.path().join("kubeconfig")).unwrap();
    agent.server.stop().unwrap();
    agent.server.put(service("a", 80));
    agent.server.listen().unwrap();
    agent.until_port("a", 80);
    assert!(agent.logged("can't renew") <= 1, "{}", agent.log());
}

#[test]
fn s30_the_url_can_be_another_than_the_kubeconfigs() {
    let (server, folder) = (server(), Folder::new());
    let elsewhere = ApiServer::start().unwrap();
    elsewhere.kubeconfig(folder.path()).unwrap();
    server.put(service("a", 80));
    let url = server.url();
    let mut agent = Agent::start_at(server, folder, QUICK, Some(url));
    agent.until_port("a", 80);
    assert_eq!(elsewhere.requests(), []);
}

fn refusal(config: KubeConfig) -> KubeError {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Kube::connect(config)).unwrap_err()
}

#[test]
fn settings_that_cannot_work_are_refused_with_what_to_do() {
    let folder = Folder::new();
    let kubeconfig = Some(server().kubeconfig(folder.path()).unwrap());
    let node_name = "here".to_owned();
    let missing = KubeConfig { kubeconfig: Some(folder.path().join("none")), ..KubeConfig::default() };
    let missing = KubeConfig { node_name: node_name.clone(), ..missing };
    assert!(matches!(refusal(missing), KubeError::Kubeconfig { .. }));
    let unnamed = KubeConfig { kubeconfig: kubeconfig.clone(), ..KubeConfig::default() };
    assert!(matches!(refusal(unnamed), KubeError::NodeName));
    let api_server = Some("not a url".to_owned());
    let url = KubeConfig { kubeconfig, api_server, node_name: node_name.clone(), ..KubeConfig::default() };
    assert!(matches!(refusal(url), KubeError::Url { .. }));
    let outside = refusal(KubeConfig { node_name, ..KubeConfig::default() });
    assert!(outside.to_string().contains("--kubeconfig"), "{outside}");
}

#[test]
fn s30_a_server_is_followed_over_tls() {
    let server = ApiServer::start_tls().unwrap();
    server.put(service("a", 80));
    let mut agent = Agent::listed(server, QUICK);
    agent.until_port("a", 80);
    agent.server.cut().unwrap();
    agent.server.put(service("a", 81));
    agent.until_port("a", 81);
}

#[test]
fn s30_a_server_with_the_certificate_of_another_authority_is_not_believed() {
    let [server, other] = [ApiServer::start_tls().unwrap(), ApiServer::start_tls().unwrap()];
    let folder = Folder::new();
    other.kubeconfig(folder.path()).unwrap();
    let url = Some(server.url());
    let agent = Agent::start_at(server, folder, QUICK, url);
    let begun = Instant::now();
    while agent.logged("invalid peer certificate") == 0 {
        assert!(begun.elapsed() < DEADLINE, "{}", agent.log());
        sleep(Duration::from_millis(20));
    }
    assert!(agent.server.requests().is_empty());
}
