//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler, in the control plane's namespace.

use std::path::Path;

use anyhow::Result;

use crate::{
    certificates,
    families::Host,
    folders::{log, source, state},
    kubectl,
    members::Members,
    process::{self, start},
    programs::Programs,
};

const ETCD: &str = "http://127.0.0.1:2379";

/// The API server and its clients, which would end without it if they elected a leader.
const KUBERNETES: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// Starts the control plane and waits for the API server.
pub fn start_all(programs: &Programs, members: Members) -> Result<()> {
    etcd()?;
    start_kubernetes(programs, members)
}

/// Ends everything but etcd.
pub fn stop_kubernetes() -> Result<()> {
    KUBERNETES.into_iter().rev().try_for_each(process::stop)
}

/// Starts everything but etcd, and waits for the API server.
pub fn start_kubernetes(programs: &Programs, members: Members) -> Result<()> {
    api_server(programs, members)?;
    process::wait(Host::Control, "the API server", || Ok(kubectl::command(programs, &["get", "--raw", "/readyz"])))?;
    controller_manager(programs)?;
    let scheduler = [("kubeconfig", shown(&state("scheduler.conf"))), ("leader-elect", "false".into())];
    start(Host::Control, "kube-scheduler", &programs.path("kube-scheduler"), &flags(&scheduler))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn pki(name: &str) -> String {
    shown(&certificates::file(name))
}

fn flags(flags: &[(&str, String)]) -> Vec<String> {
    flags.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

fn etcd() -> Result<()> {
    let set = [
        ("data-dir", shown(&state("etcd"))),
        ("listen-client-urls", ETCD.into()),
        ("advertise-client-urls", ETCD.into()),
        ("listen-peer-urls", "http://127.0.0.1:2380".into()),
        // The data is removed with the cluster, so etcd need not sync it to the disk.
        ("unsafe-no-fsync", "true".into()),
    ];
    start(Host::Control, "etcd", Path::new("etcd"), &flags(&set))
}

fn api_server(programs: &Programs, members: Members) -> Result<()> {
    let own = [
        ("etcd-servers", ETCD.into()),
        ("advertise-address", members.families.addresses(Host::Control)[0].to_string()),
        ("bind-address", "::".into()),
        ("service-cluster-ip-range", members.families.service_networks().join(",")),
        ("allow-privileged", "true".into()),
        ("authorization-mode", "Node,RBAC".into()),
        ("enable-admission-plugins", "NodeRestriction".into()),
        ("kubelet-preferred-address-types", "InternalIP".into()),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local".into()),
        ("audit-log-path", shown(&log("audit"))),
        ("audit-policy-file", shown(&source().join("manifests/audit.yaml"))),
    ];
    let files = [
        ("client-ca-file", "ca.crt"),
        ("tls-cert-file", "apiserver.crt"),
        ("tls-private-key-file", "apiserver.key"),
        ("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        ("kubelet-client-key", "apiserver-kubelet-client.key"),
        ("service-account-key-file", "sa.pub"),
        ("service-account-signing-key-file", "sa.key"),
        ("requestheader-client-ca-file", "front-proxy-ca.crt"),
        ("proxy-client-cert-file", "front-proxy-client.crt"),
        ("proxy-client-key-file", "front-proxy-client.key"),
    ];
    let headers = [
        ("requestheader-allowed-names", "front-proxy-client".into()),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-".into()),
        ("requestheader-group-headers", "X-Remote-Group".into()),
        ("requestheader-username-headers", "X-Remote-User".into()),
    ];
    let set: Vec<_> = own.into_iter().chain(headers).chain(files.map(|(flag, file)| (flag, pki(file)))).collect();
    start(Host::Control, "kube-apiserver", &programs.path("kube-apiserver"), &flags(&set))
}

fn controller_manager(programs: &Programs) -> Result<()> {
    let set = [
        ("kubeconfig", shown(&state("controller-manager.conf"))),
        ("service-account-private-key-file", pki("sa.key")),
        ("root-ca-file", pki("ca.crt")),
        ("cluster-signing-cert-file", pki("ca.crt")),
        ("cluster-signing-key-file", pki("ca.key")),
        ("use-service-account-credentials", "true".into()),
        ("leader-elect", "false".into()),
        // `up` gives the nodes the networks of their pods, since CNI reads them from a file.
        ("allocate-node-cidrs", "false".into()),
    ];
    start(Host::Control, "kube-controller-manager", &programs.path("kube-controller-manager"), &flags(&set))
}
