//! The printed report: a line for each object that is removed, kept or added.

use std::fmt;

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Remove,
    Keep,
    Add,
}

/// What a cleanup has done, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanupReport {
    lines: Vec<(Action, &'static str, String)>,
    is_dry: bool,
}

impl CleanupReport {
    pub(super) fn new(is_dry: bool) -> Self {
        Self { lines: Vec::new(), is_dry }
    }

    pub(super) fn add(&mut self, action: Action, kind: &'static str, what: String) {
        self.lines.push((action, kind, what));
    }

    /// Returns what was removed or would be removed: the kind of each object, and its name.
    pub(in crate::commands) fn removed(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let removed = self.lines.iter().filter(|(action, ..)| *action == Action::Remove);
        removed.map(|(_, kind, what)| (*kind, what.as_str()))
    }

    fn verb(&self, action: Action) -> &'static str {
        match (action, self.is_dry) {
            (Action::Remove, false) => "removed",
            (Action::Remove, true) => "would remove",
            (Action::Keep, false) => "kept",
            (Action::Keep, true) => "would keep",
            (Action::Add, false) => "added",
            (Action::Add, true) => "would add",
        }
    }
}

impl fmt::Display for CleanupReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return f.write_str("nothing of kube-proxy to remove");
        }
        let verbs = self.lines.iter().map(|(action, ..)| self.verb(*action).len()).max().unwrap_or_default();
        let kinds = self.lines.iter().map(|(_, kind, _)| kind.len()).max().unwrap_or_default();
        for (index, (action, kind, what)) in self.lines.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{:verbs$}   {kind:kinds$}   {what}", self.verb(*action))?;
        }
        Ok(())
    }
}

/// Formats a number with its noun, in the plural unless it is 1.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(is_dry: bool) -> String {
        let mut report = CleanupReport::new(is_dry);
        report.add(Action::Remove, "nftables", "table ip kube-proxy".into());
        report.add(Action::Keep, "ipset", count(1, "set"));
        report.to_string()
    }

    #[test]
    fn lines_are_aligned() {
        assert_eq!(report(false), "removed   nftables   table ip kube-proxy\nkept      ipset      1 set");
        assert_eq!(report(true), "would remove   nftables   table ip kube-proxy\nwould keep     ipset      1 set");
        assert_eq!(CleanupReport::new(false).to_string(), "nothing of kube-proxy to remove");
    }
}
