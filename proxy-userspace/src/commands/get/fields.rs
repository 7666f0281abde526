//! Selects rows by their fields, in the form of kubectl's `--field-selector`. Pure.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde_json::Value;

use super::output::Row;

/// Conditions on the fields of rows, as in `state=established,client!=192.0.2.9,ageSeconds>60`. All must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Condition>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    field: String,
    wanted: Wanted,
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Equal(String),
    Unequal(String),
    Below(u64),
    Above(u64),
}

/// The error for a text that is no field selector.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("give FIELD=VALUE, FIELD!=VALUE, FIELD<NUMBER or FIELD>NUMBER, several separated by commas")]
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
        let operator = text.find(['=', '!', '<', '>']).filter(|at| *at > 0).ok_or(NotAFieldSelector)?;
        let (field, rest) = text.split_at(operator);
        let value = |value: &str| if value.contains('=') { Err(NotAFieldSelector) } else { Ok(value.to_owned()) };
        let number = |value: &str| value.parse().map_err(|_| NotAFieldSelector);
        let wanted = if let Some(rest) = rest.strip_prefix("!=") {
            Wanted::Unequal(value(rest)?)
        } else if let Some(rest) = rest.strip_prefix('<') {
            Wanted::Below(number(rest)?)
        } else if let Some(rest) = rest.strip_prefix('>') {
            Wanted::Above(number(rest)?)
        } else {
            let rest = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')).ok_or(NotAFieldSelector)?;
            Wanted::Equal(value(rest)?)
        };
        Ok(Self { field: field.to_owned(), wanted })
    }
}

/// A field that rows can't be selected or sorted by.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{verb} {kind} by {field:?}: they have no such field; give one of {}", .known.join(", "))]
pub struct UnknownField {
    verb: &'static str,
    kind: &'static str,
    field: String,
    known: Vec<&'static str>,
}

impl UnknownField {
    /// Checks that rows of this kind have a field, which they are to be selected or sorted by (`verb`).
    pub(super) fn check<R: Row>(verb: &'static str, field: &str) -> Result<(), Self> {
        let known = R::fields();
        if known.contains(&field) {
            return Ok(());
        }
        Err(Self { verb, kind: R::KIND, field: field.to_owned(), known })
    }
}

/// Why rows can't be selected by their fields.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A row has no JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A field is compared with a number.
    #[error("select {kind} by {field:?}: `<` and `>` are for numbers, and this is none: {value}")]
    NotANumber {
        /// What the rows are.
        kind: &'static str,
        /// The field.
        field: String,
        /// Its value in a row.
        value: Value,
    },
}

impl FieldSelector {
    /// Checks that rows of this kind have the fields.
    pub fn check<R: Row>(&self) -> Result<(), UnknownField> {
        self.0.iter().try_for_each(|condition| UnknownField::check::<R>("select", &condition.field))
    }

    /// Whether a row fulfils all conditions.
    pub fn selects<R: Row>(&self, row: &R) -> Result<bool, SelectError> {
        if self.0.is_empty() {
            return Ok(true);
        }
        let row = serde_json::to_value(row)?;
        for Condition { field, wanted } in &self.0 {
            let value = &row[field];
            let number = || match value {
                Value::Null => Ok(None),
                value => value.as_u64().map(Some).ok_or_else(|| SelectError::NotANumber {
                    kind: R::KIND,
                    field: field.clone(),
                    value: value.clone(),
                }),
            };
            let is_fulfilled = match wanted {
                Wanted::Equal(text) => has(value, text),
                Wanted::Unequal(text) => !has(value, text),
                Wanted::Below(limit) => number()?.is_some_and(|number| number < *limit),
                Wanted::Above(limit) => number()?.is_some_and(|number| number > *limit),
            };
            if !is_fulfilled {
                return Ok(false);
            }
        }
        Ok(true)
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
        let condition = |field: &str, wanted| Condition { field: field.to_owned(), wanted };
        let equal = |value: &str| Wanted::Equal(value.to_owned());
        let unequal = Wanted::Unequal("d".to_owned());
        assert_eq!(read("a=b,c!=d"), Ok(vec![condition("a", equal("b")), condition("c", unequal)]));
        assert_eq!(read("a==b"), read("a=b"));
        assert_eq!(read("a="), Ok(vec![condition("a", equal(""))]));
        assert_eq!(read("a<5,b>6"), Ok(vec![condition("a", Wanted::Below(5)), condition("b", Wanted::Above(6))]));
        for bad in ["", "a", "=b", "!=b", "a=b,", "a=b=c", "a===b", "a!b", "<5", "a<", "a<=5", "a>b", "a>-1"] {
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
        assert_eq!([selected("age<2"), selected("age>1"), selected("age>1,age<3")], ["a", "bc", "b"]);
        assert!(FieldSelector::default().selects(&lamp("a", true, 1)).unwrap());
    }

    #[test]
    fn only_numbers_are_compared_with_numbers() {
        let selector: FieldSelector = "name<5".parse().unwrap();
        let message = selector.selects(&lamp("a", true, 1)).unwrap_err().to_string();
        assert_eq!(message, "select lamps by \"name\": `<` and `>` are for numbers, and this is none: \"a\"");
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
