//! Validates `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy`, as far as possible without the ranges.

use super::{Fault, address, one_of, service::is};
use crate::{desired::Family, objects::ServiceSpec};

pub(super) fn validate(spec: &ServiceSpec, faults: &mut Vec<Fault>) {
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    one_of("spec.ipFamilyPolicy", spec.ip_family_policy.as_deref(), &policies, faults);
    let families = spec.ip_families.as_deref().unwrap_or_default();
    for (index, family) in families.iter().enumerate() {
        one_of(&format!("spec.ipFamilies[{index}]"), Some(family), &["IPv4", "IPv6"], faults);
        if families[..index].contains(family) {
            faults.push(Fault::duplicate(format!("spec.ipFamilies[{index}]"), format_args!("{family:?}")));
        }
    }
    let first = spec.cluster_ip.as_deref().unwrap_or_default();
    let all = match spec.cluster_ips.as_deref() {
        None | Some([]) if first.is_empty() => return single_stack(spec, 0, faults),
        None | Some([]) => std::slice::from_ref(spec.cluster_ip.as_ref().expect("it is not empty")),
        Some(all) => all,
    };
    if !first.is_empty() && all[0] != first {
        faults.push(Fault::invalid("spec.clusterIPs", format_args!("{all:?}"), "first value must match `clusterIP`"));
    }
    if all.iter().any(|ip| ip == "None") {
        headless(spec, all, faults);
    } else {
        addresses(all, families, faults);
    }
    single_stack(spec, all.len(), faults);
}

fn headless(spec: &ServiceSpec, all: &[String], faults: &mut Vec<Fault>) {
    if all.len() > 1 {
        let reason = "'None' must be the first and only value";
        faults.push(Fault::invalid("spec.clusterIPs", format_args!("{all:?}"), reason));
    }
    for kind in ["NodePort", "LoadBalancer"].into_iter().filter(|kind| is(spec, kind)) {
        let reason = format!("may not be set to 'None' for {kind} services");
        faults.push(Fault::invalid_text("spec.clusterIPs[0]", "None", reason));
    }
}

fn addresses(all: &[String], wanted: &[String], faults: &mut Vec<Fault>) {
    let mut families = Vec::new();
    for (index, text) in all.iter().enumerate() {
        let field = format!("spec.clusterIPs[{index}]");
        let Some(ip) = address::address(&field, text, faults) else { continue };
        let family = Family::of(ip);
        families.push((family, ()));
        if let Some(wanted) = wanted.get(index).filter(|wanted| **wanted != family_name(family)) {
            let reason = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
            faults.push(Fault::invalid_text(field, text, reason));
        }
    }
    let shown = format_args!("{all:?}").to_string();
    if all.len() > 2 {
        faults.push(Fault::invalid("spec.clusterIPs", shown, "may only hold up to 2 values"));
    } else if !address::one_per_family(&families) {
        let reason = "may specify no more than one IP for each IP family";
        faults.push(Fault::invalid("spec.clusterIPs", shown, reason));
    }
}

fn single_stack(spec: &ServiceSpec, addresses: usize, faults: &mut Vec<Fault>) {
    let policy = spec.ip_family_policy.as_deref().unwrap_or("SingleStack");
    let families = spec.ip_families.as_ref().map_or(0, Vec::len);
    if policy == "SingleStack" {
        let counts = [(addresses, "cluster IPs"), (families, "IP families")];
        if let Some((_, what)) = counts.into_iter().find(|(count, _)| *count > 1) {
            let reason = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            faults.push(Fault::invalid_text("spec.ipFamilyPolicy", policy, reason));
        }
    }
}

/// Returns the name of a family in `ipFamilies` and `addressType`.
pub fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}
