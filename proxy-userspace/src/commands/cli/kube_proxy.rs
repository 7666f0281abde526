//! kube-proxy's flags, so that its command lines keep working: those that Waggle uses, and those that it ignores.

use clap::Args;

use super::{
    go_values::{BindIp, boolean},
    ignored::IgnoredFlags,
};

/// The text about kube-proxy's flags in `--help`.
pub const HELP: &str = "kube-proxy's other flags are accepted, too: those that apply to Waggle work as in kube-proxy, the others \
                        are ignored, with one warning that names them";

/// kube-proxy's flags that exist only for compatibility.
#[derive(Args, Clone, Debug)]
pub struct KubeProxyArgs {
    /// Address whose family chooses between 127.0.0.1 and ::1 as the default of --metrics-bind-address
    #[arg(long, value_name = "IP", hide = true)]
    pub bind_address: Option<BindIp>,
    /// Exit if a health or metrics port can't be bound
    #[arg(long, value_name = "BOOL", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub bind_address_hard_fail: Option<bool>,
    /// Port of --healthz-bind-address if that has none; 0 turns the port off
    #[arg(long, value_name = "PORT", hide = true)]
    pub healthz_port: Option<u16>,
    /// Port of --metrics-bind-address if that has none; 0 turns the port off
    #[arg(long, value_name = "PORT", hide = true)]
    pub metrics_port: Option<u16>,
    /// klog's verbosity: 4 means log level debug, 5 and above mean trace
    #[arg(long = "v", short = 'v', value_name = "N", hide = true)]
    pub verbosity: Option<u32>,
    /// Refused: use `waggle cleanup`
    #[arg(long, alias = "cleanup-iptables", value_name = "BOOL", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = cleanup)]
    pub cleanup: Option<bool>,
    /// Refused: the agent needs no init step
    #[arg(long, value_name = "BOOL", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = init_only)]
    pub init_only: Option<bool>,
    /// Refused: `waggle run --help` shows the defaults
    #[arg(long, value_name = "FILE", hide = true, value_parser = write_config_to)]
    pub write_config_to: Option<String>,
    /// Flags that Waggle ignores
    #[command(flatten)]
    pub ignored: IgnoredFlags,
}

fn cleanup(text: &str) -> Result<bool, String> {
    if boolean(text)? { Err("`waggle run` only runs the agent: use `waggle cleanup`".into()) } else { Ok(false) }
}

fn init_only(text: &str) -> Result<bool, String> {
    if boolean(text)? { Err("`waggle run` needs no init step before it: remove that step".into()) } else { Ok(false) }
}

fn write_config_to(_: &str) -> Result<String, String> {
    Err("`waggle run` only runs the agent: `waggle run --help` shows the defaults".into())
}

#[cfg(test)]
mod tests {
    use crate::{
        commands::cli::{Cli, RunArgs},
        config::{Config, LogFormat, NodePortAddresses, SourceConfig, kube_proxy::KubeProxyFile},
    };

    fn parse(flags: &[&str]) -> Result<RunArgs, clap::Error> {
        match Cli::read([&["waggle", "run"], flags].concat())?.command {
            // The environment of the test must not matter.
            crate::commands::cli::Command::Run(args) => Ok(RunArgs { log_level: None, ..*args }),
            other => panic!("{other:?}"),
        }
    }

    fn ignored(flags: &[&str]) -> Vec<&'static str> {
        parse(flags).unwrap().kube_proxy.ignored.0
    }

    /// Returns the configuration from the file `sample` and flags.
    fn with_file(sample: &str, flags: &[&str]) -> Config {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/kube_proxy/samples/");
        let file = KubeProxyFile::read(format!("{folder}{sample}").as_ref()).unwrap();
        parse(flags).unwrap().config(Some(file))
    }

    /// Returns where health and metrics are served.
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
    fn old_spellings_and_old_flags_of_kube_proxy_are_understood() {
        let line = [
            "--add_dir_header",
            "--log_dir=/var/log/a_b",
            "--log_backtrace_at",
            ":0",
            "--boot_id_file=/proc/sys/kernel/random/boot_id",
            "--machine-id-file=/etc/machine-id,/var/lib/dbus/machine-id",
            "--azure-container-registry-config=/etc/kubernetes/azure.json",
            "--cleanup-iptables=false",
            "--cloud-provider-gce-lb-src-cidrs=130.211.0.0/22",
            "--docker-only",
            "--event-storage-age-limit=default=0",
            "--google-json-key=",
            "--ir-namespace-only=true",
            "--storage-driver-password",
            "-x",
            "--hostname_override=node_1",
        ];
        let names = [
            "add-dir-header",
            "docker-only",
            "ir-namespace-only",
            "azure-container-registry-config",
            "boot-id-file",
            "cloud-provider-gce-lb-src-cidrs",
            "event-storage-age-limit",
            "google-json-key",
            "log-backtrace-at",
            "log-dir",
            "machine-id-file",
            "storage-driver-password",
        ];
        assert_eq!(ignored(&line), names);
        assert_eq!(parse(&line).unwrap().config(None).node_name.as_deref(), Some("node_1"));
    }

    #[test]
    fn of_a_repeated_flag_the_last_counts_and_lists_join() {
        let config = |flags: &[&str]| parse(flags).unwrap().config(None);
        let twice = config(&["--v=2", "--hostname-override=a", "--udp-termination", "--v=4", "--node-name=b", "-v=5"]);
        assert_eq!((twice.log.level.as_str(), twice.node_name.as_deref()), ("trace", Some("b")));
        assert_eq!(addresses(&config(&["--metrics-port=1", "--metrics-port=2"])), ["[::]:10256", "127.0.0.1:2"]);
        assert_eq!(ignored(&["--logtostderr", "--proxy-mode=ipvs", "--logtostderr=false", "--proxy-mode="]).len(), 2);
        for (flags, wanted) in [
            (&["--nodeport-addresses=10.0.0.0/8", "--nodeport_addresses", "fd00::/8"][..], "10.0.0.0/8,fd00::/8"),
            (&["--nodeport-addresses=10.0.0.0/8,192.0.2.0/24", "--nodeport-addresses="], "10.0.0.0/8,192.0.2.0/24"),
            (&["--nodeport-addresses="], "primary"),
            (&["--nodeport-addresses=primary", "--nodeport-addresses=primary"], "primary"),
        ] {
            assert_eq!(config(flags).nodeport_addresses, wanted.parse::<NodePortAddresses>().unwrap(), "{flags:?}");
        }
        let mixed = parse(&["--nodeport-addresses=primary", "--nodeport-addresses=10.0.0.0/8"]).unwrap_err();
        assert!(mixed.to_string().contains("--nodeport-addresses"), "{mixed}");
        assert!(mixed.to_string().contains("`primary` must stand alone"), "{mixed}");
    }

    #[test]
    fn flags_that_ask_for_something_else_and_unknown_ones_are_errors() {
        for (flags, right) in [
            (&["--cleanup"][..], "waggle cleanup"),
            (&["--cleanup-iptables"], "waggle cleanup"),
            (&["--init-only=true"], "remove that step"),
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
