//! `waggle check`: can this machine run Waggle, and will it run well? Looks at the kernel, the host, and the calling thread's
//! network namespace, and changes nothing. Each file turns what it has seen into findings; the decisions are pure.

mod devices;
mod finding;
mod host;
mod kernel;
mod ports;
mod proxies;
mod settings;

use std::{fs, net::Ipv4Addr, path::PathBuf, process::ExitCode};

use self::{
    devices::Occupants,
    finding::{Finding, Level, aligned},
};
use super::{
    cli::{CheckArgs, Output},
    fetch::fetch,
    kube_proxy,
    show::print,
};
use crate::{
    attach::occupants::{KnownPrograms, Occupant},
    config::{DeviceConfig, METRICS_PORT},
    devices::preview::{DevicesPreview, preview},
    logging::errors::Report,
    node::{capabilities, forwarding::Forwarding, host::cgroup_root},
    server::status::{PATH, StatusReport},
};

/// Prints the findings. The exit code is 1 if something is missing.
pub fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let output = args.output;
    let findings = findings(args)?;
    let text = match output {
        Output::Table | Output::Wide => aligned(&findings),
        Output::Json => serde_json::to_string_pretty(&findings)? + "\n",
        Output::Yaml => serde_saphyr::to_string(&findings)?,
    };
    print(text.as_bytes())?;
    let is_missing = findings.iter().any(|finding| finding.level == Level::Missing);
    Ok(if is_missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn findings(args: CheckArgs) -> anyhow::Result<Vec<Finding>> {
    let cgroup = args.cgroup.map_or_else(cgroup_root, Ok);
    let programs = KnownPrograms::read();
    let mut findings = kernel::findings();
    findings.extend(host::findings(cgroup.as_deref()));
    let (of_devices, preview) = devices_of(&args.devices.into(), &programs)?;
    findings.extend(of_devices);
    findings.extend(proxies_of(cgroup.ok(), &programs));
    let agent = fetch::<StatusReport>((Ipv4Addr::LOCALHOST, METRICS_PORT).into(), PATH).ok();
    let instance = agent.as_ref().map(|report| report.instance.as_str());
    findings.extend(ports::findings(&args.service_node_port_range.0, instance));
    let faults = Forwarding::new(PathBuf::from("/proc/sys")).faults();
    findings.extend(settings::forwarding(&faults, capabilities::can_look_at_network()));
    let names = preview.devices.iter().map(|device| device.name.as_str());
    findings.push(settings::reverse_path(names, preview.has_source_rules));
    Ok(findings)
}

fn devices_of(config: &DeviceConfig, programs: &KnownPrograms) -> anyhow::Result<(Vec<Finding>, DevicesPreview)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(match runtime.block_on(preview(config)) {
        Ok(preview) => (devices::findings(&preview, |index| Occupants::read(programs, index)), preview),
        Err(error) => (vec![Finding::unseen("devices", Report(&error))], DevicesPreview::default()),
    })
}

/// Looks for other service proxies.
fn proxies_of(cgroup: Option<PathBuf>, programs: &KnownPrograms) -> Vec<Finding> {
    // Without a cgroup, that is what is missing.
    let on_cgroup = cgroup.map(|cgroup| programs.on_cgroup(&cgroup));
    let mut findings: Vec<_> = on_cgroup.iter().map(proxies::socket_hooks).collect();
    let others: Vec<Occupant> = on_cgroup.and_then(Result::ok).unwrap_or_default();
    let has_devices = ["cilium_host", "cilium_net"].iter().any(|name| has_device(name));
    findings.push(proxies::cilium(&others, has_devices));
    findings.extend(proxies::kube_proxy(&kube_proxy::look()));
    findings
}

/// Whether the network namespace has a device of this name.
fn has_device(name: &str) -> bool {
    let devices = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    devices.lines().any(|line| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
}
