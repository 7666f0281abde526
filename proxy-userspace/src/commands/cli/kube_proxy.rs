//! kube-proxy's flags, so that its command lines go on working: those that mean something here, and those that are ignored.

use std::net::IpAddr;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, parser::ValueSource};

/// What `--help` says about them.
pub const HELP: &str = "kube-proxy's other flags are accepted as well: those that mean something here do what they do there, \
                        the others are ignored, with one warning that names them";

/// kube-proxy's flags that have another name here, or no place of their own.
#[derive(Args, Clone, Debug)]
pub struct KubeProxyArgs {
    /// Family of the address where metrics are served by default: that of this address
    #[arg(long, value_name = "IP", hide = true)]
    pub bind_address: Option<IpAddr>,
    /// End if a health or metrics port can't be bound
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub bind_address_hard_fail: Option<bool>,
    /// Port of --healthz-bind-address if that has none; 0 for nowhere
    #[arg(long, value_name = "PORT", hide = true)]
    pub healthz_port: Option<u16>,
    /// Port of --metrics-bind-address if that has none; 0 for nowhere
    #[arg(long, value_name = "PORT", hide = true)]
    pub metrics_port: Option<u16>,
    /// klog's verbosity: 4 is the level debug, from 5 on it is trace
    #[arg(long = "v", short = 'v', value_name = "N", hide = true)]
    pub verbosity: Option<u32>,
    /// Refused: `waggle cleanup` is the command for it
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = cleanup)]
    pub cleanup: Option<bool>,
    /// Refused: no start needs a preparation
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = init_only)]
    pub init_only: Option<bool>,
    /// Refused: the defaults are in the help
    #[arg(long, value_name = "FILE", hide = true, value_parser = write_config_to)]
    pub write_config_to: Option<String>,
    /// Those that mean nothing here
    #[command(flatten)]
    pub ignored: IgnoredFlags,
}

fn cleanup(text: &str) -> Result<bool, String> {
    if text == "false" { Ok(false) } else { Err("`waggle run` only runs the agent: use `waggle cleanup`".into()) }
}

fn init_only(text: &str) -> Result<bool, String> {
    if text == "false" { Ok(false) } else { Err("`waggle run` needs no step before it: remove that one".into()) }
}

fn write_config_to(_: &str) -> Result<String, String> {
    Err("`waggle run` only runs the agent: `waggle run --help` has the defaults".into())
}

/// Ignored flags that need no value.
const SWITCHES: [&str; 16] = [
    "add-dir-header",
    "alsologtostderr",
    "cleanup-ipvs",
    "conntrack-tcp-be-liberal",
    "enable-dsr",
    "iptables-localhost-nodeports",
    "ipvs-strict-arp",
    "log-json-split-stream",
    "log-text-split-stream",
    "logtostderr",
    "masquerade-all",
    "one-output",
    "profiling",
    "skip-headers",
    "skip-log-headers",
    "windows-service",
];

/// Ignored flags with a value.
const VALUES: [&str; 40] = [
    "cluster-cidr",
    "config-sync-period",
    "conntrack-max",
    "conntrack-max-per-core",
    "conntrack-min",
    "detect-local-mode",
    "feature-gates",
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
    "network-name",
    "nftables-masquerade-bit",
    "oom-score-adj",
    "pod-bridge-interface",
    "pod-interface-name-prefix",
    "proxy-mode",
    "proxy-port-range",
    "resource-container",
    "show-hidden-metrics-for-version",
    "source-vip",
    "stderrthreshold",
    "udp-timeout",
    "vmodule",
];

/// The ignored flags that have been given.
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
        // As kube-proxy: the last of several counts, and a switch takes a value only after `=`.
        let flag = |name| Arg::new(name).long(name).hide(true).action(ArgAction::Append).help("Ignored");
        let switch = |name| flag(name).num_args(0..=1).require_equals(true).default_missing_value("true");
        let value = |name| flag(name).num_args(1).allow_hyphen_values(true);
        command.args(SWITCHES.map(switch)).args(VALUES.map(value))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::{
        commands::cli::{Cli, RunArgs},
        config::{Config, LogFormat, SourceConfig, kube_proxy::KubeProxyFile},
    };

    fn parse(flags: &[&str]) -> Result<RunArgs, clap::Error> {
        match Cli::try_parse_from([&["waggle", "run"], flags].concat())?.command {
            // The environment of the test must not matter.
            crate::commands::cli::Command::Run(args) => Ok(RunArgs { log_level: None, ..*args }),
            other => panic!("{other:?}"),
        }
    }

    fn ignored(flags: &[&str]) -> Vec<&'static str> {
        parse(flags).unwrap().kube_proxy.ignored.0
    }

    /// With the file `sample`.
    fn with_file(sample: &str, flags: &[&str]) -> Config {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/kube_proxy/samples/");
        let file = KubeProxyFile::read(format!("{folder}{sample}").as_ref()).unwrap();
        parse(flags).unwrap().config(Some(file))
    }

    /// Where health and metrics are served.
    fn addresses(config: &Config) -> [String; 2] {
        let addresses = [config.bind_addresses.health, config.bind_addresses.metrics];
        addresses.map(|address| address.map_or("off".to_owned(), |address| address.to_string()))
    }

    #[test]
    fn n10_feature_gates_of_any_text_are_ignored() {
        for gates in [
            &["--feature-gates="][..],
            &["--feature-gates", ""],
            &["--feature-gates=Nonsense=true", "--feature-gates=A=x"],
        ] {
            assert_eq!(ignored(gates), ["feature-gates"], "{gates:?}");
        }
    }

    #[test]
    fn kube_proxy_s_command_lines_are_understood() {
        let line = [
            "--cluster-cidr=100.96.0.0/11",
            "--conntrack-max-per-core=131072",
            "--oom-score-adj",
            "-998",
            "--masquerade-all",
            "--ipvs-strict-arp=true",
            "--logtostderr=false",
            "--hostname-override=node-1",
            "--master=https://192.0.2.1:6443",
            "--conntrack-tcp-timeout-established=2h0m0s",
            "--conntrack-udp-timeout=0",
            "--logging-format=json",
            "--proxy-mode=iptables",
            "-v=4",
        ];
        let names = [
            "ipvs-strict-arp",
            "logtostderr",
            "masquerade-all",
            "cluster-cidr",
            "conntrack-max-per-core",
            "oom-score-adj",
            "proxy-mode",
        ];
        assert_eq!(ignored(&line), names);
        let config = parse(&line).unwrap().config(None);
        assert_eq!(config.node_name.as_deref(), Some("node-1"));
        assert!(
            matches!(config.source, SourceConfig::Kube { api_server: Some(url), .. } if url == "https://192.0.2.1:6443")
        );
        assert_eq!((config.flows.timeouts.tcp_established, config.flows.timeouts.udp), (7200, 30));
        assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Json, "debug"));
    }

    #[test]
    fn flags_that_ask_for_something_else_and_unknown_ones_are_errors() {
        for (flags, right) in [
            (&["--cleanup"][..], "waggle cleanup"),
            (&["--init-only=true"], "remove that one"),
            (&["--write-config-to=/tmp/x"], "waggle run --help"),
            (&["--proxy-modes=ipvs"], "unexpected argument"),
            (&["--masquerade-all", "true"], "unexpected argument"),
        ] {
            let error = parse(flags).unwrap_err().to_string();
            assert!(error.contains(right), "{flags:?}: {error}");
        }
        assert!(parse(&["--cleanup=false", "--init-only=false"]).is_ok());
    }

    #[test]
    fn ports_of_their_own_have_kube_proxy_s_meaning() {
        for (flags, wanted) in [
            (&[][..], ["[::]:10256", "127.0.0.1:10249"]),
            (&["--healthz-port=1", "--metrics-port=0"], ["[::]:1", "off"]),
            (&["--healthz-bind-address=192.0.2.1", "--healthz-port=1"], ["192.0.2.1:1", "127.0.0.1:10249"]),
            (&["--healthz-bind-address=192.0.2.1:2", "--healthz-port=1"], ["192.0.2.1:2", "127.0.0.1:10249"]),
            (&["--healthz-bind-address=", "--bind-address=::"], ["off", "[::1]:10249"]),
        ] {
            assert_eq!(addresses(&parse(flags).unwrap().config(None)), wanted, "{flags:?}");
        }
    }

    #[test]
    fn the_file_is_between_the_flags_and_the_defaults() {
        let config = with_file("rke2.yaml", &[]);
        assert_eq!(addresses(&config), ["127.0.0.1:10256", "127.0.0.1:10249"]);
        let timeouts = &config.flows.timeouts;
        assert_eq!((timeouts.tcp_close_wait, timeouts.tcp_established, timeouts.udp_stream), (1800, 86_400, 90));
        assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Json, "debug"));

        let ipvs = with_file("bare_metal_ipvs.yaml", &["--bind-address-hard-fail", "--conntrack-udp-timeout=0"]);
        assert_eq!(
            (addresses(&ipvs), ipvs.bind_addresses.hard_fail),
            (["[::]:10256".into(), "[::]:10249".into()], true)
        );
        assert_eq!((ipvs.flows.timeouts.tcp_established, ipvs.flows.timeouts.udp), (7200, 30));

        let flags = ["--metrics-port=3", "--log-format=text", "--v=0", "--conntrack-udp-timeout-stream=5s"];
        let config =
            with_file("rke2.yaml", &[&flags[..], &["--kubeconfig=/own", "--healthz-bind-address=::"]].concat());
        assert_eq!(addresses(&config), ["[::]:10256", "127.0.0.1:3"]);
        assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Text, "info"));
        assert_eq!((config.flows.timeouts.udp_stream, config.flows.timeouts.tcp_close_wait), (5, 1800));
        assert!(
            matches!(config.source, SourceConfig::Kube { kubeconfig: Some(path), .. } if path.as_os_str() == "/own")
        );
    }

    #[test]
    fn names_of_the_node_come_from_flags_then_from_the_file() {
        assert_eq!(
            with_file("kops.yaml", &["--hostname-override="]).node_name.as_deref(),
            Some("I-0ABC.example.internal")
        );
        assert_eq!(with_file("kops.yaml", &["--hostname-override=own"]).node_name.as_deref(), Some("own"));
    }
}
