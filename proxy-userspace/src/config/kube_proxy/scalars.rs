//! Deserializes the values of single fields. Each error names the value and what would be right. An empty text is no value, as in
//! kube-proxy.

use std::{net::IpAddr, path::PathBuf};

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use crate::{
    config::{BindAddress, LogFormat, NodePortAddresses, duration::whole_seconds},
    objects::address::parse_address,
};

/// The longest timeout of a flow that fits every kernel (HZ is at most 1000), in seconds.
const LONGEST: u32 = crate::config::conntrack::LONGEST / 1000;

pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    parsed(deserializer, |text| Ok(text.to_owned()))
}

pub(super) fn file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    parsed(deserializer, |text| Ok(text.into()))
}

pub(super) fn ip<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let wrong = |text: &str| format!("{text:?} is not an IP address such as 0.0.0.0 or ::");
    parsed(deserializer, |text| parse_address(text).map_err(|_| wrong(text)))
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BindAddress>, D::Error> {
    parsed(deserializer, str::parse)
}

pub(super) fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LogFormat>, D::Error> {
    parsed(deserializer, |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("{other:?} is not `text` or `json`")),
    })
}

/// Deserializes a number; 0 is no value.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = parsed(deserializer, |text| text.parse().map_err(|_| format!("{text} is not a number such as 2")))?;
    Ok(number.filter(|number| *number != 0))
}

/// Deserializes a duration into seconds. 0 is no value: kube-proxy then leaves the kernel's setting alone.
pub(super) fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let seconds = parsed(deserializer, |text| {
        let seconds = if text == "0" { 0 } else { whole_seconds(text)? };
        if seconds > LONGEST {
            return Err(format!("{text:?} is longer than {LONGEST}s, the longest that every kernel allows"));
        }
        Ok(seconds)
    })?;
    Ok(seconds.filter(|seconds| *seconds != 0))
}

pub(super) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NodePortAddresses>, D::Error> {
    let list = Value::deserialize(deserializer)?;
    let texts: Vec<String> = Vec::deserialize(&list)
        .map_err(|_| D::Error::custom(format!("{list} is not a list such as [10.0.0.0/8] or [primary]")))?;
    let parse = |text: String| text.parse::<NodePortAddresses>().map_err(D::Error::custom);
    Some(texts.join(",")).filter(|text| !text.is_empty()).map(parse).transpose()
}

fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        other => return Err(D::Error::custom(format!("{other} is not a text"))),
    };
    Some(text.trim()).filter(|text| !text.is_empty()).map(parse).transpose().map_err(D::Error::custom)
}
