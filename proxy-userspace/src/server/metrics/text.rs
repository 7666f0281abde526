//! The formats of a page: OpenMetrics for clients that ask for it, as Prometheus does, otherwise Prometheus' older text format,
//! for people and promtool. Pure.

use std::collections::BTreeSet;

use http::{HeaderMap, header};

/// A format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Text,
}

impl Format {
    /// Returns the format that the `Accept` header asks for.
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let asks =
            accepted.flat_map(|value| value.split(',')).any(|range| range.contains("application/openmetrics-text"));
        if asks { Self::OpenMetrics } else { Self::Text }
    }

    /// Returns the format's media type.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Converts a page from OpenMetrics to this format.
    pub(super) fn of(self, page: String) -> String {
        match self {
            Self::OpenMetrics => page,
            Self::Text => text(&page),
        }
    }
}

/// Converts a page from OpenMetrics to the older format: counters have the suffix `_total` in `# HELP` and `# TYPE`, too, and there
/// is no `# EOF`.
fn text(page: &str) -> String {
    let counters: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(page.len());
    for line in page.lines().filter(|line| *line != "# EOF") {
        let described =
            ["# HELP ", "# TYPE "].into_iter().find_map(|prefix| Some((prefix, line.strip_prefix(prefix)?)));
        let described = described.and_then(|(prefix, rest)| Some((prefix, rest.split_once(' ')?)));
        match described {
            Some((prefix, (name, rest))) if counters.contains(name) => {
                text.extend([prefix, name, "_total ", rest, "\n"]);
            }
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PAGE: &str = "# HELP a A.\n# TYPE a counter\na_total 1\n# HELP b B.\n# TYPE b gauge\nb 2\n# EOF\n";

    #[test]
    fn prometheus_gets_what_it_asks_for_and_people_what_they_can_read() {
        let asked = |accept: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            Format::asked_for(&headers)
        };
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(asked(prometheus), Format::OpenMetrics);
        assert_eq!([asked("*/*"), asked("text/plain")], [Format::Text; 2]);
        assert_eq!(Format::asked_for(&HeaderMap::new()), Format::Text);
        assert_eq!(Format::OpenMetrics.of(PAGE.to_owned()), PAGE);
        let text = "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n# HELP b B.\n# TYPE b gauge\nb 2\n";
        assert_eq!(Format::Text.of(PAGE.to_owned()), text);
    }
}
