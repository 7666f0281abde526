//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler, in the control plane's namespace.

use std::path::Path;

use anyhow::Result;

use crate::{
    certificates,
    families::Host,
    folders::{log, state},
    kubectl,
    members::Members,
    process::{self, start},
    programs::Programs,
};

/// Starts all of it and waits for the API server.
pub fn start_all(programs: &Programs, members: Members) -> Result<()> {
    let text = |path: &Path| path.display().to_string();
    start(
        Host::Control,
        "etcd",
        Path::new("etcd"),
        &flags(&[
            ("data-dir", text(&state("etcd"))),
            ("listen-client-urls", "http://127.0.0.1:2379".into()),
            ("advertise-client-urls", "http://127.0.0.1:2379".into()),
            ("listen-peer-urls", "http://127.0.0.1:2380".into()),
            // What is written is gone with the cluster: it need not be on the disk.
            ("unsafe-no-fsync", "true".into()),
        ]),
    )?;
    let pki = |name: &str| text(&certificates::file(name));
    let address = members.families.addresses(Host::Control)[0].to_string();
    start(
        Host::Control,
        "kube-apiserver",
        &programs.path("kube-apiserver"),
        &flags(&[
            ("etcd-servers", "http://127.0.0.1:2379".into()),
            ("advertise-address", address),
            ("bind-address", "::".into()),
            ("secure-port", "6443".into()),
            ("service-cluster-ip-range", members.families.service_networks().join(",")),
            ("allow-privileged", "true".into()),
            ("authorization-mode", "Node,RBAC".into()),
            ("enable-admission-plugins", "NodeRestriction".into()),
            ("client-ca-file", pki("ca.crt")),
            ("tls-cert-file", pki("apiserver.crt")),
            ("tls-private-key-file", pki("apiserver.key")),
            ("kubelet-client-certificate", pki("apiserver-kubelet-client.crt")),
            ("kubelet-client-key", pki("apiserver-kubelet-client.key")),
            ("kubelet-preferred-address-types", "InternalIP".into()),
            ("service-account-issuer", "https://kubernetes.default.svc.cluster.local".into()),
            ("service-account-key-file", pki("sa.pub")),
            ("service-account-signing-key-file", pki("sa.key")),
            ("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
            ("requestheader-allowed-names", "front-proxy-client".into()),
            ("requestheader-extra-headers-prefix", "X-Remote-Extra-".into()),
            ("requestheader-group-headers", "X-Remote-Group".into()),
            ("requestheader-username-headers", "X-Remote-User".into()),
            ("proxy-client-cert-file", pki("front-proxy-client.crt")),
            ("proxy-client-key-file", pki("front-proxy-client.key")),
            ("audit-log-path", text(&log("audit"))),
            ("audit-policy-file", text(&crate::folders::source().join("manifests/audit.yaml"))),
        ]),
    )?;
    process::wait(Host::Control, "the API server", || Ok(kubectl::command(programs, &["get", "--raw", "/readyz"])))?;
    start(
        Host::Control,
        "kube-controller-manager",
        &programs.path("kube-controller-manager"),
        &flags(&[
            ("kubeconfig", text(&state("controller-manager.conf"))),
            ("service-account-private-key-file", pki("sa.key")),
            ("root-ca-file", pki("ca.crt")),
            ("cluster-signing-cert-file", pki("ca.crt")),
            ("cluster-signing-key-file", pki("ca.key")),
            ("use-service-account-credentials", "true".into()),
            ("leader-elect", "false".into()),
            // `up` gives the nodes their networks, which CNI has in a file.
            ("allocate-node-cidrs", "false".into()),
        ]),
    )?;
    start(
        Host::Control,
        "kube-scheduler",
        &programs.path("kube-scheduler"),
        &flags(&[("kubeconfig", text(&state("scheduler.conf"))), ("leader-elect", "false".into())]),
    )
}

fn flags(flags: &[(&str, String)]) -> Vec<String> {
    flags.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}
