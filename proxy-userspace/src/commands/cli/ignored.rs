//! kube-proxy's flags that Waggle ignores, of all its releases: current ones, removed ones, and those that came from its libraries
//! (klog, cAdvisor, cloud providers).

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, parser::ValueSource};

/// Flags that need no value.
const SWITCHES: [&str; 27] = [
    "add-dir-header",
    "allow-dynamic-housekeeping",
    "allow-verification-with-non-compliant-keys",
    "alsologtostderr",
    "cleanup-ipvs",
    "conntrack-tcp-be-liberal",
    "disable-root-cgroup-stats",
    "docker-only",
    "docker-tls",
    "enable-dsr",
    "enable-load-reader",
    "forward-healthcheck-vip",
    "iptables-localhost-nodeports",
    "ipvs-strict-arp",
    "ir-namespace-only",
    "legacy-stderr-threshold-behavior",
    "log-cadvisor-usage",
    "log-json-split-stream",
    "log-text-split-stream",
    "logtostderr",
    "masquerade-all",
    "one-output",
    "profiling",
    "skip-headers",
    "skip-log-headers",
    "storage-driver-secure",
    "windows-service",
];

/// Flags with a value.
const VALUES: [&str; 81] = [
    "alsologtostderrthreshold",
    "application-metrics-count-limit",
    "azure-container-registry-config",
    "boot-id-file",
    "cloud-provider-gce-l7lb-src-cidrs",
    "cloud-provider-gce-lb-src-cidrs",
    "cluster-cidr",
    "config-sync-period",
    "conntrack-max",
    "conntrack-max-per-core",
    "conntrack-min",
    "container-hints",
    "containerd",
    "containerd-env-metadata-whitelist",
    "containerd-namespace",
    "default-not-ready-toleration-seconds",
    "default-unreachable-toleration-seconds",
    "detect-local-mode",
    "docker",
    "docker-env-metadata-whitelist",
    "docker-root",
    "docker-tls-ca",
    "docker-tls-cert",
    "docker-tls-key",
    "event-storage-age-limit",
    "event-storage-event-limit",
    "feature-gates",
    "global-housekeeping-interval",
    "google-json-key",
    "housekeeping-interval",
    "iptables-masquerade-bit",
    "iptables-min-sync-period",
    "iptables-sync-period",
    "ipvs-exclude-cidrs",
    "ipvs-min-sync-period",
    "ipvs-scheduler",
    "ipvs-sync-period",
    "ipvs-tcp-timeout",
    "ipvs-tcpfin-timeout",
    "ipvs-udp-timeout",
    "ir-data-source",
    "ir-dbname",
    "ir-hawkular",
    "ir-influxdb-host",
    "ir-password",
    "ir-percentile",
    "ir-user",
    "kube-api-burst",
    "kube-api-content-type",
    "kube-api-qps",
    "log-backtrace-at",
    "log-dir",
    "log-file",
    "log-file-max-size",
    "log-flush-frequency",
    "log-json-info-buffer-size",
    "log-text-info-buffer-size",
    "loglevel",
    "machine-id-file",
    "max-housekeeping-interval",
    "network-name",
    "nftables-masquerade-bit",
    "oom-score-adj",
    "pod-bridge-interface",
    "pod-interface-name-prefix",
    "proxy-mode",
    "proxy-port-range",
    "referenced-reset-interval",
    "resource-container",
    "root-hnsendpoint-name",
    "show-hidden-metrics-for-version",
    "source-vip",
    "stderrthreshold",
    "storage-driver-buffer-duration",
    "storage-driver-db",
    "storage-driver-host",
    "storage-driver-password",
    "storage-driver-table",
    "storage-driver-user",
    "udp-timeout",
    "vmodule",
];

/// The ignored flags that were given.
#[derive(Clone, Debug, Default)]
pub struct IgnoredFlags(pub Vec<&'static str>);

impl FromArgMatches for IgnoredFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |name: &&str| matches.value_source(name) == Some(ValueSource::CommandLine);
        Ok(Self(SWITCHES.into_iter().chain(VALUES).filter(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for IgnoredFlags {
    fn augment_args(command: Command) -> Command {
        // As in kube-proxy, flags may be repeated, and a switch takes a value only after `=`.
        let flag = |name| Arg::new(name).long(name).hide(true).action(ArgAction::Append).help("Ignored");
        let switch = |name| flag(name).num_args(0..=1).require_equals(true).default_missing_value("true");
        let value = |name| flag(name).num_args(1).allow_hyphen_values(true);
        command.args(SWITCHES.map(switch)).args(VALUES.map(value))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
