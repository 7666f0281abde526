//! Durations in the form that kube-proxy's flags and files use: `24h0m0s`.

use jiff::SignedDuration;

/// Parses a duration and returns its seconds, rounded up so that no positive timeout becomes 0. The error names the text and the
/// right form.
pub fn whole_seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is not a duration such as 1h0m0s or 30s");
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    let seconds = duration.as_secs().saturating_add(i64::from(duration.subsec_nanos() > 0));
    if duration.is_negative() { Err(wrong()) } else { u32::try_from(seconds).map_err(|_| wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_kube_proxy() {
        for (text, seconds) in
            [("24h0m0s", 86_400), ("1h", 3600), ("2h22m", 8520), ("250ms", 1), ("1.5s", 2), ("0s", 0), ("0h0m30s", 30)]
        {
            assert_eq!(whole_seconds(text), Ok(seconds), "{text}");
        }
        for bad in ["", "5", "-1s", "1 week of days", "s", "999999999h", "9223372036854775807.5s"] {
            assert!(whole_seconds(bad).unwrap_err().starts_with(&format!("{bad:?} is not a duration")), "{bad}");
        }
    }
}
