//! The parameters of a request: what follows `?` in its URL. Pure.

use std::collections::BTreeMap;

/// Parameters by their names. If a name is given twice, the last value counts.
#[derive(Clone, Debug, Default)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Parses a query, in the form that browsers write.
    pub(super) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Returns a value without spaces around it; empty if it is not given.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }

    /// Returns a value that is not empty.
    pub fn given(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Parameters {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_may_be_missing() {
        let parameters = Parameters::parse("client=%5Bfd00%3A%3A1%5D%3A80&destination=svc%2Fweb%3Ahttp+&from=&x=1&x=2");
        assert_eq!(parameters.get("client"), "[fd00::1]:80");
        assert_eq!(parameters.get("destination"), "svc/web:http");
        assert_eq!((parameters.given("from"), parameters.given("device"), parameters.get("x")), (None, None, "2"));
    }
}
