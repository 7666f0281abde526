//! Selects rows by their fields, in the form of kubectl's `--field-selector`. Pure.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde_json::Value;

use super::output::Row;

/// Conditions on the fields of rows, as in `state=established,client!=192.0.2.9`. All must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Condition>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    field: String,
    /// Whether the field must have the value, or must not.
    is_equal: bool,
    value: String,
}

/// The error for a text that is no field selector.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("give FIELD=VALUE or FIELD!=VALUE, several separated by commas")]
pub struct NotAFieldSelector;

impl FromStr for FieldSelector {
    type Err = NotAFieldSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Condition {
    type Err = NotAFieldSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (field, value) = text.split_once('=').ok_or(NotAFieldSelector)?;
        let (field, is_equal) = field.strip_suffix('!').map_or((field, true), |field| (field, false));
        let value = if is_equal { value.strip_prefix('=').unwrap_or(value) } else { value };
        if field.is_empty() || value.contains('=') {
            return Err(NotAFieldSelector);
        }
        Ok(Self { field: field.to_owned(), is_equal, value: value.to_owned() })
    }
}

/// A field that rows can't be selected by.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("select {kind} by {field:?}: they have no such field; give one of {}", .known.join(", "))]
pub struct UnknownField {
    kind: &'static str,
    field: String,
    known: Vec<&'static str>,
}

impl FieldSelector {
    /// Checks that rows of this kind have the fields.
    pub fn check<R: Row>(&self) -> Result<(), UnknownField> {
        let known = R::fields();
        match self.0.iter().find(|condition| !known.contains(&condition.field.as_str())) {
            Some(unknown) => Err(UnknownField { kind: R::KIND, field: unknown.field.clone(), known }),
            None => Ok(()),
        }
    }

    /// Whether a row fulfils all conditions.
    pub fn selects(&self, row: &impl Row) -> Result<bool, serde_json::Error> {
        if self.0.is_empty() {
            return Ok(true);
        }
        let row = serde_json::to_value(row)?;
        Ok(self.0.iter().all(|condition| has(&row[&condition.field], &condition.value) == condition.is_equal))
    }
}

/// Whether a field has a value. A list has those of its items. A field without a value, and an empty list, have the empty text.
fn has(field: &Value, value: &str) -> bool {
    match field {
        Value::Null => value.is_empty(),
        Value::String(text) => text == value || is_address(text, value),
        Value::Array(items) if items.is_empty() => value.is_empty(),
        Value::Array(items) => items.iter().any(|item| has(item, value)),
        Value::Bool(flag) => value.parse() == Ok(*flag),
        Value::Number(number) => number.to_string() == value,
        Value::Object(_) => false,
    }
}

/// Whether `value` is the address in `text`, in any spelling. It may lack the port.
fn is_address(text: &str, value: &str) -> bool {
    let addresses = |text: &str| {
        let socket: Option<SocketAddr> = text.parse().ok();
        (socket.map(|socket| socket.ip()).or_else(|| text.parse::<IpAddr>().ok()), socket.map(|socket| socket.port()))
    };
    let ((ip, port), (wanted_ip, wanted_port)) = (addresses(text), addresses(value));
    ip.is_some() && ip == wanted_ip && (wanted_port.is_none() || port == wanted_port)
}

#[cfg(test)]
mod tests {
    use proxy_common::Counter;

    use crate::attach::Mode;

    use super::{
        super::{
            AffinityRow, DeviceRow, Fill, FlowRow, ProgramCell, ServicePort, SourcesCell, backends, drops, endpoints,
            maps,
            sample::{Lamp, check_fields, lamp},
            services,
            tests::snapshot,
        },
        *,
    };

    #[test]
    fn rows_are_selected_by_the_fields_of_their_json() {
        let mut service = services(&snapshot()).remove(0);
        service.sources = Some(SourcesCell { ranges: vec![], node: true, pods: true });
        check_fields(&service);
        check_fields(&endpoints(&snapshot())[0]);
        check_fields(&backends(&snapshot())[0]);
        check_fields(&drops(&[(Counter::DropNoRoute, 1)].into())[0]);
        check_fields(&maps(&Fill::default())[0]);
        let (device, programs) = ("eth0".to_owned(), vec![ProgramCell { hook: "xdp", program: None, link: None }]);
        let (index, mode, why) = (2, Mode::Xdp, "-");
        check_fields(&DeviceRow { device, index, mode, why, fell_back: false, pod: false, programs });
    }

    #[test]
    fn flows_and_clients_are_selected_by_the_fields_of_their_json() {
        let service_port: ServicePort = services(&snapshot()).remove(0).service_port;
        let backend = || "10.1.0.1:8080".to_owned();
        check_fields(&FlowRow {
            service_port: service_port.clone(),
            client: None,
            socket: Some(1),
            frontend: "10.96.0.10:80".to_owned(),
            backend: backend(),
            source: None,
            state: "connected",
            age_seconds: None,
            expires_seconds: None,
        });
        check_fields(&AffinityRow {
            service_port,
            client: None,
            netns: Some(1),
            backend: backend(),
            age_seconds: 1,
            expires_seconds: 2,
        });
    }

    #[test]
    fn selectors_are_read_as_kubectl_reads_them() {
        let read = |text: &str| text.parse::<FieldSelector>().map(|selector| selector.0);
        let condition = |field: &str, is_equal, value: &str| Condition {
            field: field.to_owned(),
            is_equal,
            value: value.to_owned(),
        };
        assert_eq!(read("a=b,c!=d"), Ok(vec![condition("a", true, "b"), condition("c", false, "d")]));
        assert_eq!(read("a==b"), read("a=b"));
        assert_eq!(read("a="), Ok(vec![condition("a", true, "")]));
        for bad in ["", "a", "=b", "!=b", "a=b,", "a=b=c", "a===b"] {
            assert_eq!(read(bad), Err(NotAFieldSelector), "{bad}");
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        let selected = |text: &str| {
            let selector: FieldSelector = text.parse().unwrap();
            selector.check::<Lamp>().unwrap();
            let lamps = [lamp("a", true, 1), lamp("b", false, 2), lamp("c", true, 3)];
            let chosen = lamps.iter().filter(|lamp| selector.selects(*lamp).unwrap());
            chosen.map(|lamp| lamp.name).collect::<String>()
        };
        assert_eq!(selected("isOn=true"), "ac");
        assert_eq!(selected("isOn=true,name!=a"), "c");
        assert_eq!(selected("age=2"), "b");
        assert_eq!(selected("age!=2,isOn=false"), "");
        assert!(FieldSelector::default().selects(&lamp("a", true, 1)).unwrap());
    }

    #[test]
    fn addresses_match_with_and_without_their_ports() {
        for (text, value, wanted) in [
            ("192.0.2.9:80", "192.0.2.9", true),
            ("192.0.2.9:80", "192.0.2.9:80", true),
            ("192.0.2.9:80", "192.0.2.9:81", false),
            ("192.0.2.90:80", "192.0.2.9", false),
            ("[fd00::1]:80", "fd00:0::1", true),
            ("[fd00::1]:80", "[fd00::1]:80", true),
            ("fd00::1", "fd00:0::1", true),
            ("192.0.2.9", "192.0.2.9:80", false),
            ("*:30080", "*", false),
        ] {
            assert_eq!(has(&Value::from(text), value), wanted, "{text} {value}");
        }
    }

    #[test]
    fn lists_have_each_of_their_items_and_absent_values_are_empty() {
        assert!(has(&serde_json::json!(["Cluster", "Local"]), "Local"));
        assert!(!has(&serde_json::json!(["Cluster"]), "Local"));
        assert!(has(&Value::Null, "") && has(&serde_json::json!([]), "") && !has(&Value::from("a"), ""));
    }

    #[test]
    fn a_field_that_is_not_there_is_named_with_those_that_are() {
        let selector: FieldSelector = "colour=red".parse().unwrap();
        let message = selector.check::<Lamp>().unwrap_err().to_string();
        assert_eq!(message, "select lamps by \"colour\": they have no such field; give one of name, isOn, age");
    }
}
