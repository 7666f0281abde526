//! Reads the files in `samples/`, which are of the kinds that people have.

use std::path::Path;

use super::*;
use crate::config::{LogFormat, NodePortAddresses};

fn sample(name: &str) -> (KubeProxyConfiguration, Ignored) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/kube_proxy/samples").join(name);
    let KubeProxyFile { configuration, mut ignored, .. } = KubeProxyFile::read(&path).unwrap();
    ignored.meaningless.sort();
    ignored.unknown.sort();
    (configuration, ignored)
}

/// Decodes a file with a few fields in YAML.
fn of(fields: &str) -> Result<KubeProxyConfiguration, String> {
    decode(&format!("apiVersion: {VERSION}\nkind: {KIND}\n{fields}\n")).map(|(configuration, _)| configuration)
}

fn is_only(ignored: &Ignored, meaningless: &[&str]) {
    let names = |fields: &[&str]| fields.iter().map(ToString::to_string).collect();
    assert_eq!(*ignored, Ignored { meaningless: names(meaningless), ..Ignored::default() });
}

#[test]
fn kubeadm_s_default_file_asks_for_its_kubeconfig_only() {
    let (found, ignored) = sample("kubeadm.yaml");
    let bind = "bindAddress: 0.0.0.0\nclientConnection: {kubeconfig: /var/lib/kube-proxy/kubeconfig.conf}";
    assert_eq!(found, of(bind).unwrap());
    assert_eq!(found.conntrack, Conntrack::default());
    is_only(&ignored, &["clusterCIDR"]);
}

#[test]
fn field_s14_a_file_of_past_releases_is_used_and_what_is_ignored_is_named() {
    let (found, ignored) = sample("bare_metal_ipvs.yaml");
    assert_eq!(found.bind_address, Some("::".parse().unwrap()));
    assert_eq!(found.metrics_bind_address, Some("[::]:10249".parse().unwrap()));
    assert_eq!(found.node_port_addresses, Some("2001:db8:1::/64".parse().unwrap()));
    let timeouts = (found.conntrack.tcp_established_timeout, found.conntrack.udp_timeout);
    assert_eq!((timeouts, found.conntrack.tcp_close_wait_timeout), ((Some(7200), Some(10)), None));
    let meaningless = [
        "clusterCIDR",
        "conntrack.maxPerCore",
        "featureGates",
        "ipvs.excludeCIDRs",
        "ipvs.scheduler",
        "ipvs.strictARP",
        "mode",
    ];
    assert_eq!(ignored.meaningless, meaningless);
    assert_eq!(ignored.unknown, ["conntrack.max", "metadata.name", "resourceContainer", "udpIdleTimeout"]);
    assert_eq!(ignored.repeated, ["mode", "conntrack.max"]);
}

#[test]
fn a_managed_cluster_s_file_is_used() {
    let (found, ignored) = sample("eks.yaml");
    assert_eq!(found.healthz_bind_address, Some("0.0.0.0:10256".parse().unwrap()));
    assert_eq!(found.metrics_bind_address, Some("0.0.0.0:10249".parse().unwrap()));
    assert_eq!(found.conntrack.tcp_established_timeout, Some(86_400));
    is_only(&ignored, &["oomScoreAdj"]);
}

#[test]
fn installers_files_are_used() {
    let (kops, ignored) = sample("kops.yaml");
    assert_eq!(kops.hostname_override.as_deref(), Some("I-0ABC.example.internal"));
    assert_eq!(kops.logging.verbosity, Some(2));
    is_only(&ignored, &["clusterCIDR", "conntrack.maxPerCore", "oomScoreAdj"]);

    let (kubespray, ignored) = sample("kubespray.yaml");
    assert_eq!(kubespray.client_connection.kubeconfig, None);
    assert_eq!(kubespray.node_port_addresses, Some("192.0.2.0/24,10.0.0.0/8".parse().unwrap()));
    is_only(&ignored, &["clusterCIDR", "ipvs.scheduler", "ipvs.strictARP", "mode"]);

    let (rke2, ignored) = sample("rke2.yaml");
    let wanted = Conntrack {
        tcp_close_wait_timeout: Some(1800),
        tcp_established_timeout: None,
        udp_stream_timeout: Some(90),
        udp_timeout: None,
    };
    assert_eq!(rke2.conntrack, wanted);
    assert_eq!((rke2.logging.format, rke2.logging.verbosity), (Some(LogFormat::Json), Some(4)));
    assert_eq!(rke2.node_port_addresses, Some(NodePortAddresses::Primary));
    assert_eq!(rke2.metrics_bind_address, Some("10249".parse().unwrap()), "a number");
    let gates = ["clusterCIDR", "conntrack.maxPerCore", "featureGates", "mode", "showHiddenMetricsForVersion"];
    is_only(&ignored, &gates);
}

#[test]
fn what_means_something_and_cannot_be_read_is_an_error_that_says_what_is_right() {
    for (fields, field, value, right) in [
        ("bindAddress: eth0", "bindAddress", "\"eth0\"", "such as 0.0.0.0"),
        ("bindAddressHardFail: perhaps", "bindAddressHardFail", "\"perhaps\"", "expected a boolean"),
        ("healthzBindAddress: localhost:1", "healthzBindAddress", "\"localhost:1\"", "127.0.0.1:10249"),
        ("metricsBindAddress: [1]", "metricsBindAddress", "[1]", "not a text"),
        ("nodePortAddresses: [10.0.0.0/8, eth0]", "nodePortAddresses", "\"eth0\"", "give `primary` or CIDRs"),
        ("nodePortAddresses: 10.0.0.0/8", "nodePortAddresses", "10.0.0.0/8", "a list such as"),
        ("conntrack: {udpTimeout: 30}", "conntrack.udpTimeout", "\"30\"", "such as 1h0m0s"),
        ("conntrack: {udpTimeout: -30s}", "conntrack.udpTimeout", "\"-30s\"", "such as 1h0m0s"),
        ("conntrack: {tcpEstablishedTimeout: 9999h}", "conntrack.tcpEstablishedTimeout", "\"9999h\"", "longer than"),
        ("conntrack: many", "conntrack", "\"many\"", "expected fields with values"),
        ("logging: {format: xml}", "logging.format", "\"xml\"", "`text` or `json`"),
        ("logging: {verbosity: -1}", "logging.verbosity", "-1", "not a number such as 2"),
        ("clientConnection: {kubeconfig: {}}", "clientConnection.kubeconfig", "{}", "not a text"),
    ] {
        let error = of(fields).unwrap_err();
        let says = error.starts_with(&format!("{field}: ")) && error.contains(value) && error.contains(right);
        assert!(says, "{fields}: {error}");
    }
}

#[test]
fn other_files_are_refused() {
    for (text, reason) in [
        ("kind: KubeProxyConfiguration", "apiVersion: null is not \"kubeproxy.config.k8s.io/v1alpha1\""),
        ("apiVersion: kubeproxy.config.k8s.io/v1alpha2\nkind: KubeProxyConfiguration", "v1alpha2\" is not"),
        ("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: Service", "kind: \"Service\" is not"),
    ] {
        let error = decode(text).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    let error = KubeProxyFile::read(Path::new("/nowhere/config.conf")).unwrap_err();
    assert_eq!(error.to_string(), "read the configuration file /nowhere/config.conf (is it mounted there?)");
}

#[test]
fn n09_every_form_of_an_address_is_understood_in_a_file() {
    let default = "[::]:10249".parse().unwrap();
    for (text, address) in [
        ("0.0.0.0", Some("[::]:10249")),
        ("0.0.0.0:10249", Some("[::]:10249")),
        ("'[::]:10249'", Some("[::]:10249")),
        ("'::'", Some("[::]:10249")),
        ("''", None),
        ("", None),
        ("10249", Some("[::]:10249")),
    ] {
        let found = of(&format!("metricsBindAddress: {text}")).unwrap().metrics_bind_address;
        let found = found.map(|found| found.or(default));
        assert_eq!(found, address.map(|address| Some(address.parse().unwrap())), "{text:?}: none is the default");
    }
}
