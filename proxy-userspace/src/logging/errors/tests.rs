use std::{fs, io, iter, net::TcpListener, path::Path};

use anyhow::Context as _;
use aya::{Ebpf, maps::MapError, sys::SyscallError};
use aya_obj::VerifierLog;
use http::{Request, Uri};
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::*;
use crate::{
    attach::AttachError,
    commands::get::InspectError,
    maps::MapsError,
    succession::loader::LoadError,
    watch::kube::{Kube, KubeConfig, KubeError},
};

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

fn syscall(call: &'static str, number: i32) -> SyscallError {
    SyscallError { call, io_error: errno(number) }
}

/// Returns the report of an error. Checks that it contains each text of the chain once.
fn report(error: &(dyn Error + 'static)) -> String {
    let report = Report(error).to_string();
    for part in iter::successors(Some(error), |error| (*error).source()) {
        assert_eq!(report.matches(&part.to_string()).count(), 1, "{part} in {report}");
    }
    report
}

#[test]
fn a_report_has_each_error_of_a_chain_of_three_once() {
    let pin = MapsError::Open { path: "/pins/ABI".into(), source: syscall("bpf_obj_get", libc::ENOENT).into() };
    let opened = "open pinned map /pins/ABI: `bpf_obj_get` failed: No such file or directory (os error 2)";
    assert_eq!(report(&pin), opened);
    let incomplete =
        "open the maps of an incomplete instance (start its agent again, or remove it with `waggle cleanup`)";
    assert_eq!(report(&InspectError::from(pin)), format!("{incomplete}: {opened}"));
}

#[test]
fn a_report_of_main_has_the_contexts_and_the_causes() {
    let error = AttachError::Attach { name: "xdp", target: "device eth0".into(), source: errno(libc::EOPNOTSUPP) };
    let error = Err::<(), _>(error).context("serve devices").unwrap_err();
    let expected = "serve devices: attach xdp to device eth0: Operation not supported (os error 95)";
    assert_eq!(report(error.as_ref()), expected);
}

#[test]
fn a_missing_permission_and_another_layout_are_logged_once() {
    let source = MapError::CreateError { name: "SERVICES".into(), io_error: errno(libc::EPERM) };
    assert_eq!(
        report(&LoadError::from(EbpfError::from(source))),
        "load the eBPF object (Waggle needs Linux 6.1 or later with BTF, run as root): map error: failed to create map \
         `SERVICES`: Operation not permitted (os error 1)"
    );
    let layout = report(&InspectError::Abi { instance: "default".into(), found: 0 });
    assert!(
        layout.contains("layout version 0") && layout.ends_with("use the waggle that runs the instance"),
        "{layout}"
    );
}

#[test]
fn what_aya_prints_of_a_cause_is_not_printed_again() {
    let refused =
        || ProgramError::LoadError { io_error: errno(libc::EINVAL), verifier_log: VerifierLog::new("R1".into()) };
    let expected =
        "load program xdp: the BPF_PROG_LOAD syscall returned Invalid argument (os error 22). Verifier output: R1";
    assert_eq!(report(&AttachError::Load { name: "xdp".into(), source: refused() }), expected);
    let of_btf = || BtfError::LoadError { io_error: errno(libc::EINVAL), verifier_log: VerifierLog::new("R1".into()) };
    let errors: [&(dyn Error + 'static); 6] = [
        &Ebpf::load(b"no object").unwrap_err(),
        &EbpfError::from(refused()),
        &EbpfError::from(ProgramError::from(syscall("bpf_prog_load", libc::EPERM))),
        &EbpfError::from(of_btf()),
        &ProgramError::from(of_btf()),
        &EbpfError::FileError { path: "waggle.o".into(), error: errno(libc::ENOENT) },
    ];
    for error in errors {
        report(error);
    }
}

/// Writes a kubeconfig with this cluster and user.
fn kubeconfig(folder: &Path, cluster: &str, user: &str) -> std::path::PathBuf {
    let path = folder.join("kubeconfig");
    let text = format!(
        "clusters: [{{name: a, cluster: {{{cluster}}}}}]\nusers: [{{name: a, user: {{{user}}}}}]\n\
         contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\ncurrent-context: a\n"
    );
    fs::write(&path, text).unwrap();
    path
}

/// Returns the error of connecting with this kubeconfig.
async fn connect(path: &Path) -> KubeError {
    let (kubeconfig, node_name) = (Some(path.to_owned()), "a".to_owned());
    Kube::connect(KubeConfig { kubeconfig, node_name, ..KubeConfig::default() }).await.unwrap_err()
}

#[tokio::test]
async fn an_unreadable_kubeconfig_is_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none");
    assert_eq!(
        report(&connect(&missing).await),
        format!(
            "read kubeconfig {} (check the file and its current-context): failed to read kubeconfig from '{missing:?}': \
             No such file or directory (os error 2)",
            missing.display()
        )
    );
    let pem = folder.path().join("pem");
    let parts = ["CERTIFICATE", "PRIVATE KEY"];
    fs::write(&pem, parts.map(|part| format!("-----BEGIN {part}-----\nAAAA\n-----END {part}-----\n")).concat())
        .unwrap();
    let server = "server: https://127.0.0.1:1";
    for (cluster, user, expected) in [
        (format!("{server}, certificate-authority: {}", missing.display()), "", "No such file or directory"),
        (format!("{server}, certificate-authority-data: '*'"), "", "Invalid symbol"),
        ("server: 'https://a b'".into(), "", "invalid uri character"),
        (server.into(), &*format!("client-certificate: {0}, client-key: {0}", pem.display()), "invalid private key"),
        (server.into(), "tokenFile: /none", "failed to read token file"),
        (server.into(), "exec: {apiVersion: client.authentication.k8s.io/v1, command: /none}", "No such file"),
        (server.into(), "exec: {apiVersion: client.authentication.k8s.io/v1, command: echo, args: ['{']}", ""),
    ] {
        let error = connect(&kubeconfig(folder.path(), &cluster, user)).await;
        let report = report(&error);
        assert!(report.contains(expected), "{report}");
    }
    fs::write(folder.path().join("kubeconfig"), "{").unwrap();
    report(&connect(&folder.path().join("kubeconfig")).await);
    report(&KubeError::InCluster(Config::incluster().unwrap_err()));
}

#[tokio::test]
async fn a_kubeconfig_that_no_request_can_follow_is_reported_with_file_and_user() {
    let folder = tempfile::tempdir().unwrap();
    let server = "server: https://127.0.0.1:1";
    let asks = async |cluster: &str, user: &str| report(&connect(&kubeconfig(folder.path(), cluster, user)).await);
    let path = folder.path().join("kubeconfig");
    let of = |field: &str| format!("use the {field} of the user \"a\" in the kubeconfig {}: it has", path.display());
    let printed = r#"{"apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "a\\n"}}"#;
    let command =
        format!("exec: {{apiVersion: client.authentication.k8s.io/v1, command: printf, args: ['{printed}']}}");
    for (user, field) in
        [(r#"token: "a\n""#, "token"), (r#"as: "a\n""#, "as"), (&command, "token that its command prints")]
    {
        let report = asks(server, user).await;
        assert!(report.starts_with(&of(field)), "{report}");
    }
    for url in ["127.0.0.1:6443", "/", "ftp://127.0.0.1"] {
        let report = asks(&format!("server: '{url}'"), "").await;
        assert!(report.contains("write it as https://HOST:PORT"), "{report}");
    }
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_is_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let path = kubeconfig(folder.path(), &format!("server: 'http://{free}'"), "");
    let (kubeconfig, options) = (Kubeconfig::read_from(path).unwrap(), KubeConfigOptions::default());
    let config = Config::from_custom_kubeconfig(kubeconfig, &options);
    let client = Client::try_from(config.await.unwrap()).unwrap();
    let error = async || {
        let request = Request::get(Uri::from_static("/version")).body(Body::empty()).unwrap();
        client.send(request).await.unwrap_err()
    };
    let refused = "client error (Connect): tcp connect error: Connection refused (os error 111)";
    assert_eq!(report(&error().await), format!("ServiceError: {refused}"));
    let listed = watcher::Error::InitialListFailed(error().await);
    assert_eq!(report(&listed), format!("failed to perform initial object list: ServiceError: {refused}"));
    let request = request::Request::new("/a b").get("c", &kube::api::GetParams::default()).unwrap_err();
    report(&kube::Error::BuildRequest(request));
}
