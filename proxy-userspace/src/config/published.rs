//! The configuration in force, as `/configz` shows it: settings that KubeProxyConfiguration has, under its names, and all others
//! under `waggle`. It holds no secrets: credentials are in files, and only the paths of those are shown.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{
    Config, ExternalIps, FlowConfig, MapSizes, NodePortAddresses, SourceConfig,
    devices::DeviceChoice,
    kube_proxy::{KIND, VERSION},
};

/// Returns the whole configuration as JSON, with `node_name` as the name in use.
pub fn configuration(config: &Config, node_name: &str) -> Value {
    json!({
        "kubeproxy.config.k8s.io": kube_proxys(config, node_name),
        "waggle": {
            "instance": config.instance,
            "configFile": config.file.as_ref().map(|file| &file.path),
            "cgroup": config.cgroup,
            "procSys": config.proc_sys,
            "source": source(&config.source),
            "unhealthyAfterSeconds": config.silence.map(|silence| silence.as_secs()),
            "udpTermination": config.udp_termination,
            "externalIpCidrs": match &config.external_ips {
                ExternalIps::Any => Value::Null,
                ExternalIps::Cidrs(cidrs) => json!(cidrs.iter().map(ToString::to_string).collect::<Vec<_>>()),
            },
            "devices": {
                "choice": match &config.devices.choice {
                    DeviceChoice::Auto => vec!["auto".to_owned()],
                    DeviceChoice::Named(names) => names.iter().map(ToString::to_string).collect(),
                },
                "mode": word(&config.devices.mode),
                "podInterfaces": config.devices.pod_interfaces.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "tcAttach": word(&config.devices.tc_attach),
            },
            "flows": flows(&config.flows),
            "mapSizes": sizes(&config.sizes),
            "preallocate": config.preallocates,
            "pageBindAddress": config.bind_addresses.page.map(|address| address.to_string()),
            "metrics": { "services": config.metrics.services, "backends": config.metrics.backends },
            "logLevel": config.log.level,
        },
    })
}

fn kube_proxys(config: &Config, node_name: &str) -> Value {
    let address =
        |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string()).unwrap_or_default();
    let timeouts = &config.flows.timeouts;
    let kubeconfig = match &config.source {
        SourceConfig::Kube { kubeconfig, .. } => kubeconfig.as_deref(),
        SourceConfig::Manifests { .. } => None,
    };
    json!({
        "apiVersion": VERSION,
        "kind": KIND,
        "bindAddressHardFail": config.bind_addresses.hard_fail,
        "clientConnection": { "kubeconfig": kubeconfig },
        "conntrack": {
            "tcpCloseWaitTimeout": duration(timeouts.tcp_close_wait),
            "tcpEstablishedTimeout": duration(timeouts.tcp_established),
            "udpStreamTimeout": duration(timeouts.udp_stream),
            "udpTimeout": duration(timeouts.udp),
        },
        "healthzBindAddress": address(config.bind_addresses.health),
        "hostnameOverride": node_name,
        "logging": { "format": word(&config.log.format) },
        "metricsBindAddress": address(config.bind_addresses.metrics),
        "nodePortAddresses": match &config.nodeport_addresses {
            NodePortAddresses::Primary => json!(["primary"]),
            NodePortAddresses::Cidrs(cidrs) => json!(cidrs.iter().map(ToString::to_string).collect::<Vec<_>>()),
        },
    })
}

/// Formats seconds as Go formats a duration: `1h0m0s`.
fn duration(seconds: u32) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn source(source: &SourceConfig) -> Value {
    match source {
        SourceConfig::Kube { api_server, .. } => json!({ "apiServer": api_server.as_deref().map(without_user) }),
        SourceConfig::Manifests { folder, service_cidrs, node_ports, allocations } => json!({
            "manifests": folder,
            "serviceCIDRs": service_cidrs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "serviceNodePortRange": format!("{}-{}", node_ports.start(), node_ports.end()),
            "allocations": allocations,
        }),
    }
}

/// Removes user name, password and query from a URL.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

fn flows(flows: &FlowConfig) -> Value {
    let (flow, sctp) = (&flows.timeouts, &flows.associations);
    json!({
        "answerEcho": flows.answer_echo,
        "rejectRate": flows.reject_rate,
        "timeoutSeconds": {
            "tcpSynSent": flow.tcp_syn_sent,
            "tcpSynReceived": flow.tcp_syn_received,
            "tcpEstablished": flow.tcp_established,
            "tcpFinWait": flow.tcp_fin_wait,
            "tcpCloseWait": flow.tcp_close_wait,
            "tcpTimeWait": flow.tcp_time_wait,
            "tcpClose": flow.tcp_close,
            "udp": flow.udp,
            "udpStream": flow.udp_stream,
            "sctpClosed": sctp.closed,
            "sctpCookieWait": sctp.cookie_wait,
            "sctpEstablished": sctp.established,
            "sctpShutdownSent": sctp.shutdown_sent,
            "sctpShutdownReceived": sctp.shutdown_received,
            "sctpShutdownAckSent": sctp.shutdown_ack_sent,
        },
    })
}

fn sizes(sizes: &MapSizes) -> Value {
    json!({
        "services": sizes.services,
        "servicePorts": sizes.service_ids,
        "slots": sizes.slots,
        "backends": sizes.backends,
        "members": sizes.members,
        "networks": sizes.networks,
        "affinity": sizes.affinity,
        "socketConnections": sizes.socket_connections,
        "socketFlows": sizes.socket_flows,
        "conntrack": sizes.conntrack,
        "embryonic": sizes.embryonic,
        "fragments": sizes.fragments,
        "sourceRanges": sizes.source_ranges,
    })
}

/// Returns the value that the flag would have.
fn word(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_passwords() {
        for (url, shown) in [
            ("https://192.0.2.1:6443", "https://192.0.2.1:6443"),
            ("https://me:secret@control:6443/base", "https://control:6443/base"),
            ("https://me:sec@ret@[2001:db8::1]:6443/?token=secret", "https://[2001:db8::1]:6443/"),
            ("control:6443", "control:6443"),
        ] {
            assert_eq!(without_user(url), shown);
        }
    }

    #[test]
    fn durations_are_written_as_go_does() {
        assert_eq!([30, 90, 3600, 86_400].map(duration), ["30s", "1m30s", "1h0m0s", "24h0m0s"]);
    }
}
