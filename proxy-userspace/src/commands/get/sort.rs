//! Sorts rows by one of their fields, as kubectl's `--sort-by` does. Pure.

use std::{
    cmp::Ordering,
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;

use super::{fields::UnknownField, output::Row};

/// Sorts rows by a field, which has the name that JSON has. Rows with equal values keep their order.
pub fn sort_by<R: Row>(field: &str, rows: Vec<R>) -> Result<Vec<R>, serde_json::Error> {
    let value = |row: R| Ok((serde_json::to_value(&row)?[field].take(), row));
    let mut rows: Vec<(Value, R)> = rows.into_iter().map(value).collect::<Result<_, _>>()?;
    rows.sort_by(|(a, _), (b, _)| compare(a, b));
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// Checks that rows of this kind can be sorted by a field.
pub fn check_sort_by<R: Row>(field: &str) -> Result<(), UnknownField> {
    UnknownField::check::<R>("sort", field)
}

/// Compares two values of one field: numbers and addresses by their values, other texts by their characters, lists by their first
/// items that differ. Absent values and empty texts come last.
fn compare(a: &Value, b: &Value) -> Ordering {
    let is_absent = |value: &Value| value.is_null() || value == "";
    match (a, b) {
        _ if is_absent(a) || is_absent(b) => is_absent(a).cmp(&is_absent(b)),
        (Value::Number(_), Value::Number(_)) => a.as_u64().cmp(&b.as_u64()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => match (address(a), address(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.cmp(b),
        },
        (Value::Array(a), Value::Array(b)) => {
            let differ = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
            differ.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => Ordering::Equal,
    }
}

/// An address and a port, 0 if there is none.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let socket = text.parse().map(|socket: SocketAddr| (socket.ip(), socket.port()));
    socket.or_else(|_| text.parse().map(|ip| (ip, 0))).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::sample::{Lamp, lamp},
        *,
    };

    #[test]
    fn rows_are_sorted_by_a_field_of_their_json() {
        let sorted = |field: &str| {
            check_sort_by::<Lamp>(field).unwrap();
            let rows = vec![lamp("c", true, 10), lamp("a", false, 9), lamp("b", true, 9)];
            sort_by(field, rows).unwrap().iter().map(|lamp| lamp.name).collect::<String>()
        };
        assert_eq!([sorted("name"), sorted("age"), sorted("isOn")], ["abc", "abc", "acb"]);
        let message = check_sort_by::<Lamp>("colour").unwrap_err().to_string();
        assert_eq!(message, "sort lamps by \"colour\": they have no such field; give one of name, isOn, age");
    }

    #[test]
    fn values_are_compared_as_what_they_are() {
        for [smaller, larger] in [
            [json!(9), json!(10)],
            [json!("10.0.0.9:80"), json!("10.0.0.10:80")],
            [json!("10.0.0.9:80"), json!("10.0.0.9:443")],
            [json!("10.0.0.9"), json!("fd00::1")],
            [json!("*:9"), json!("10.0.0.9:8")],
            [json!("node"), json!("pod")],
            [json!(["a"]), json!(["a", "b"])],
            [json!(["a", "b"]), json!(["b"])],
            [json!("z"), json!("")],
            [json!(9), json!(null)],
        ] {
            let orders = [compare(&smaller, &larger), compare(&larger, &smaller), compare(&smaller, &smaller)];
            assert_eq!(orders, [Ordering::Less, Ordering::Greater, Ordering::Equal], "{smaller} {larger}");
        }
    }
}
