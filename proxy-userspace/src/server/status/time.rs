//! A time as reports have it: RFC 3339, in UTC.

use std::{fmt, str::FromStr, time::SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Time(pub Timestamp);

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.0.to_string()
    }
}

impl TryFrom<String> for Time {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Timestamp::from_str(&text).map(Self)
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        Self(Timestamp::try_from(time).unwrap_or_default())
    }
}

/// Shows whole seconds.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_and_read_in_rfc_3339() {
        let time: Time = serde_json::from_str("\"2026-11-30T11:39:00.25Z\"").unwrap();
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2026-11-30T11:39:00.25Z\"");
        assert_eq!(time.to_string(), "2026-11-30T11:39:00Z");
        assert!(serde_json::from_str::<Time>("\"yesterday\"").is_err());
    }
}
