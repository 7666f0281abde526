//! Validates a Service's ports (S38).

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proxy_common::Protocol;

use super::{Fault, PROTOCOLS, check, one_of, port_number, service::is};
use crate::objects::{ServicePort, ServiceSpec, name};

pub(super) fn validate(spec: &ServiceSpec, faults: &mut Vec<Fault>) {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let headless = spec.cluster_ip.as_deref() == Some("None")
        || spec.cluster_ips.as_ref().is_some_and(|ips| ips.first().is_some_and(|ip| ip == "None"));
    if ports.is_empty() && !headless && !is(spec, "ExternalName") {
        faults.push(Fault::required("spec.ports", ""));
    }
    for (index, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        one(&field, port, ports.len() > 1, faults);
        if port.node_port.is_some_and(|port| port != 0) && !is(spec, "NodePort") && !is(spec, "LoadBalancer") {
            let kind = spec.r#type.as_deref().unwrap_or("ClusterIP");
            let reason = format!("may not be used when `type` is '{kind}'");
            faults.push(Fault::forbidden(format!("{field}.nodePort"), &reason));
        }
    }
    unique(ports, faults);
}

fn one(field: &str, port: &ServicePort, several: bool, faults: &mut Vec<Fault>) {
    match port.name.as_deref().unwrap_or_default() {
        "" if several => faults.push(Fault::required(format!("{field}.name"), "")),
        "" => {}
        text => check(&format!("{field}.name"), text, name::dns1123_label, faults),
    }
    one_of(&format!("{field}.protocol"), port.protocol.as_deref(), &PROTOCOLS, faults);
    port_number(&format!("{field}.port"), port.port, faults);
    let target = format!("{field}.targetPort");
    match &port.target_port {
        // The API server treats 0 as absent.
        Some(IntOrString::Int(number)) if *number != 0 => port_number(&target, *number, faults),
        Some(IntOrString::String(text)) if !text.is_empty() => check(&target, text, name::port_name, faults),
        _ => {}
    }
}

fn unique(ports: &[ServicePort], faults: &mut Vec<Fault>) {
    let (mut names, mut numbers, mut node_ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        let protocol = port.protocol.as_deref().unwrap_or(Protocol::Tcp.name());
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() && !names.insert(name) {
            faults.push(Fault::duplicate(format!("{field}.name"), format_args!("{name:?}")));
        }
        if !numbers.insert((protocol, port.port)) {
            let value = format!("{{\"protocol\":{protocol:?},\"port\":{}}}", port.port);
            faults.push(Fault::duplicate(field.clone(), value));
        }
        let node_port = port.node_port.unwrap_or_default();
        if node_port != 0 && !node_ports.insert((protocol, node_port)) {
            faults.push(Fault::duplicate(format!("{field}.nodePort"), node_port));
        }
    }
}
