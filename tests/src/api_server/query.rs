//! A collection request's parameters, read as strictly as the API does or more: an unknown parameter is refused,
//! where the real server would ignore it. It must not look at objects.

use std::time::Duration;

use super::{
    selector::{Condition, Field, parse_fields, parse_labels},
    status::Refusal,
    store::Key,
};

/// How `resourceVersion` restricts a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VersionMatch {
    Exact,
    NotOlderThan,
}

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Continue {
    /// The version that all pages show.
    pub(super) version: u64,
    /// The last object of the previous page.
    pub(super) after: Key,
}

/// The parameters of a list or watch request.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) labels: Vec<Condition>,
    pub(super) fields: Vec<Field>,
    /// 0 = everything.
    pub(super) limit: usize,
    pub(super) continue_from: Option<Continue>,
    /// 0 = any version.
    pub(super) version: Option<u64>,
    pub(super) version_match: Option<VersionMatch>,
    pub(super) watch: bool,
    pub(super) bookmarks: bool,
    pub(super) initial_events: bool,
    pub(super) timeout: Option<Duration>,
}

impl Continue {
    /// The opaque token of the next page.
    pub(super) fn token(&self) -> String {
        let (namespace, name) = &self.after;
        format!("{}:{namespace}/{name}", self.version)
    }

    fn parse(token: &str) -> Result<Self, Refusal> {
        let parsed = token.split_once(':').and_then(|(version, key)| {
            let (namespace, name) = key.split_once('/')?;
            Some(Self { version: version.parse().ok()?, after: (namespace.to_owned(), name.to_owned()) })
        });
        parsed.ok_or_else(|| Refusal::bad_request("continue key is not valid"))
    }
}

impl Query {
    /// Reads the parameters and refuses those that the API refuses.
    pub(super) fn parse(pairs: &[(String, String)]) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for (index, (name, value)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Refusal::bad_request(format!("parameter given twice: {name}")));
            }
            query.set(name, value)?;
        }
        query.check()?;
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            "continue" | "resourceVersion" | "resourceVersionMatch" if value.is_empty() => {}
            "labelSelector" => self.labels = parse_labels(value).map_err(|error| unparsable(name, &error))?,
            "fieldSelector" => self.fields = parse_fields(value).map_err(|error| unparsable(name, &error))?,
            "limit" => self.limit = number(name, value)?,
            "continue" => self.continue_from = Some(Continue::parse(value)?),
            "resourceVersion" => self.version = Some(number(name, value)?),
            "resourceVersionMatch" => self.version_match = Some(version_match(value)?),
            "watch" => self.watch = boolean(name, value)?,
            "allowWatchBookmarks" => self.bookmarks = boolean(name, value)?,
            "sendInitialEvents" => self.initial_events = boolean(name, value)?,
            "timeoutSeconds" => self.timeout = Some(Duration::from_secs(number(name, value)?)),
            // client-go's limit of a whole request.
            "pretty" | "timeout" => {}
            _ => return Err(Refusal::bad_request(format!("unknown parameter: {name}"))),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Refusal> {
        let forbidden = |field, why| Err(Refusal::invalid_options(field, &format!("Forbidden: {why}")));
        if self.watch {
            return match (self.initial_events, self.version_match) {
                (true, Some(VersionMatch::NotOlderThan)) | (false, None) => Ok(()),
                (true, _) => forbidden("resourceVersionMatch", "sendInitialEvents requires NotOlderThan"),
                (false, Some(_)) => {
                    forbidden("resourceVersionMatch", "is forbidden for watch unless sendInitialEvents is provided")
                }
            };
        }
        if self.initial_events {
            return forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        if self.continue_from.is_some() && self.version.is_some_and(|version| version != 0) {
            return Err(Refusal::bad_request("specifying resource version is not allowed when using continue"));
        }
        match self.version_match {
            Some(_) if self.continue_from.is_some() => {
                forbidden("resourceVersionMatch", "is forbidden when continue is provided")
            }
            Some(_) if self.version.is_none() => {
                forbidden("resourceVersionMatch", "is forbidden unless resourceVersion is provided")
            }
            Some(VersionMatch::Exact) if self.version == Some(0) => {
                forbidden("resourceVersionMatch", "\"Exact\" is forbidden for resourceVersion \"0\"")
            }
            _ => Ok(()),
        }
    }
}

fn unparsable(name: &str, error: &str) -> Refusal {
    Refusal::bad_request(format!("unable to parse {name}: {error}"))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Refusal> {
    value.parse().map_err(|_| Refusal::bad_request(format!("{name}: Invalid value: \"{value}\"")))
}

fn boolean(name: &str, value: &str) -> Result<bool, Refusal> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Refusal::bad_request(format!("{name}: Invalid value: \"{value}\""))),
    }
}

fn version_match(value: &str) -> Result<VersionMatch, Refusal> {
    match value {
        "Exact" => Ok(VersionMatch::Exact),
        "NotOlderThan" => Ok(VersionMatch::NotOlderThan),
        _ => Err(Refusal::invalid_options("resourceVersionMatch", &format!("Unsupported value: \"{value}\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(query: &str) -> Option<u16> {
        let pairs: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Query::parse(&pairs).err().map(|refusal| refusal.code)
    }

    #[test]
    fn what_the_api_refuses_is_refused() {
        for (query, expected) in [
            ("limit=500&labelSelector=!a", None),
            ("limit=-1", Some(400)),
            ("limits=1", Some(400)),
            ("limit=1&limit=2", Some(400)),
            ("labelSelector=a in b", Some(400)),
            ("fieldSelector=spec.x=1", Some(400)),
            ("resourceVersion=abc", Some(400)),
            ("continue=xyz", Some(400)),
            ("continue=5:a/b&resourceVersion=5", Some(400)),
            ("resourceVersionMatch=Exact", Some(422)),
            ("resourceVersionMatch=Exact&resourceVersion=0", Some(422)),
            ("resourceVersionMatch=Newest&resourceVersion=1", Some(422)),
            ("watch=true&resourceVersionMatch=Exact&resourceVersion=1", Some(422)),
            ("watch=true&sendInitialEvents=true", Some(422)),
            ("watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", None),
            ("sendInitialEvents=true", Some(422)),
            ("watch=yes", Some(400)),
        ] {
            assert_eq!(code(query), expected, "{query}");
        }
    }
}
