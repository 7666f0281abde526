//! Finds the fields of a file that are ignored and that the user should hear of: fields that Waggle has no use for, and fields that
//! v1alpha1 does not have. Fields with kube-proxy's default, or with a value that kube-proxy takes for none, are not reported.

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::{configuration::FIELDS, document::join};

/// Fields whose empty value means something else to kube-proxy than a missing field.
const OPTIONAL: [&str; 6] = [
    "conntrack.maxPerCore",
    "conntrack.min",
    "iptables.localhostNodePorts",
    "iptables.masqueradeBit",
    "nftables.masqueradeBit",
    "oomScoreAdj",
];

/// The paths of ignored fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Fields that Waggle has no use for.
    pub meaningless: Vec<String>,
    /// Fields that v1alpha1 does not have: misspelt, or from another release or tool.
    pub unknown: Vec<String>,
    /// Fields that occur more than once. The last one counts.
    pub repeated: Vec<String>,
}

impl Ignored {
    /// Finds the ignored fields among the fields of a file.
    pub(super) fn of(fields: &Map<String, Value>, repeated: Vec<String>) -> Self {
        let mut ignored = Self { repeated, ..Self::default() };
        ignored.add(fields, Some(&defaults()), "");
        ignored
    }

    fn add(&mut self, fields: &Map<String, Value>, defaults: Option<&Value>, path: &str) {
        for (name, value) in fields {
            let path = join(path, name);
            let default = defaults.and_then(|defaults| defaults.get(name));
            match value {
                _ if FIELDS.contains(&path.as_str()) => {}
                Value::Object(inner) if default.is_none_or(has_fields) => self.add(inner, default, &path),
                _ if default.map_or_else(|| is_empty(value), |default| is_default(&path, value, default)) => {}
                _ if default.is_some() => self.meaningless.push(path),
                _ => self.unknown.push(path),
            }
        }
    }
}

/// kube-proxy's defaults of the fields that Waggle has no use for, inside the fields that enclose them.
pub(crate) fn defaults() -> Value {
    json!({
        "clientConnection": {
            "acceptContentTypes": "", "burst": 10, "contentType": "application/vnd.kubernetes.protobuf", "qps": 5
        },
        "clusterCIDR": "",
        "configSyncPeriod": "15m0s",
        "conntrack": {"maxPerCore": 32768, "min": 131_072, "tcpBeLiberal": false},
        "detectLocal": {"bridgeInterface": "", "interfaceNamePrefix": ""},
        "detectLocalMode": "ClusterCIDR",
        "enableProfiling": false,
        "featureGates": {},
        "iptables": {
            "localhostNodePorts": true, "masqueradeAll": false, "masqueradeBit": 14, "minSyncPeriod": "1s",
            "snatNodeInternalIP": false, "syncPeriod": "30s"
        },
        "ipvs": {
            "excludeCIDRs": [], "minSyncPeriod": "0s", "scheduler": "", "strictARP": false, "syncPeriod": "30s",
            "tcpFinTimeout": "0s", "tcpTimeout": "0s", "udpTimeout": "0s"
        },
        "logging": {
            "flushFrequency": "5s",
            "options": {
                "json": {"infoBufferSize": "0", "splitStream": false},
                "text": {"infoBufferSize": "0", "splitStream": false}
            },
            "vmodule": []
        },
        "mode": "iptables",
        "nftables": {"masqueradeAll": false, "masqueradeBit": 14, "minSyncPeriod": "1s", "syncPeriod": "30s"},
        "oomScoreAdj": -999,
        "portRange": "",
        "showHiddenMetricsForVersion": "",
        "windowsRunAsService": false,
        "winkernel": {
            "enableDSR": false, "forwardHealthCheckVip": false, "networkName": "", "rootHnsEndpointName": "",
            "sourceVip": ""
        },
    })
}

fn has_fields(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| !fields.is_empty())
}

fn is_default(path: &str, value: &Value, default: &Value) -> bool {
    let is_empty = is_empty(value) && is_alike(value, default) && !OPTIONAL.contains(&path);
    is_empty || value == default || duration(value).is_some_and(|value| duration(default) == Some(value))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || duration(value).is_some_and(|duration| duration.is_zero()),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// True if a value has the type of its field's default. Numbers and texts count as one type: durations have been either.
fn is_alike(value: &Value, default: &Value) -> bool {
    let kind = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) | Value::String(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
    };
    kind(value) == kind(default)
}

fn duration(value: &Value) -> Option<SignedDuration> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(fields: &Value) -> Ignored {
        Ignored::of(fields.as_object().unwrap(), Vec::new())
    }

    #[test]
    fn field_s14_defaults_and_empty_values_say_nothing() {
        assert_eq!(ignored(&defaults()), Ignored::default());
        let empty = json!({
            "mode": "", "featureGates": {}, "clientConnection": {"burst": 0, "qps": 0, "contentType": ""}, "metadata": {},
            "logging": {"flushFrequency": 0}, "ipvs": {"syncPeriod": "0s"}, "nftables": {}, "winkernel": {"sourceVip": ""},
            "configSyncPeriod": "0h15m", "udpIdleTimeout": "0s", "metricsBindAddress": "0.0.0.0"
        });
        assert_eq!(ignored(&empty), Ignored::default());
    }

    #[test]
    fn field_s14_what_says_something_is_named_by_its_path() {
        let found = ignored(&json!({
            "mode": "ipvs", "oomScoreAdj": 0, "conntrack": {"max": 5, "maxPerCore": 0, "min": 131_072, "udpTimeout": "1s"},
            "ipvs": {"strictARP": true, "scheduler": ""}, "iptables": {"localhostNodePorts": false},
            "metadata": {"name": "config"}, "resourceContainer": "/kube-proxy", "udpIdleTimeout": "250ms",
        }));
        let meaningless =
            ["conntrack.maxPerCore", "iptables.localhostNodePorts", "ipvs.strictARP", "mode", "oomScoreAdj"];
        let unknown = ["conntrack.max", "metadata.name", "resourceContainer", "udpIdleTimeout"];
        assert_eq!(sorted(found.meaningless), meaningless);
        assert_eq!(sorted(found.unknown), unknown);
    }

    #[test]
    fn n10_feature_gates_of_any_kind_are_named_once() {
        for gates in [json!(""), json!({"Nonsense": true, "Removed": "x"}), json!(["a"]), json!(false)] {
            assert_eq!(ignored(&json!({"featureGates": gates})).meaningless, ["featureGates"], "{gates}");
        }
    }

    fn sorted(mut paths: Vec<String>) -> Vec<String> {
        paths.sort();
        paths
    }
}
