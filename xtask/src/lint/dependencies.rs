//! Checks licences and duplicate versions of all packages in the lock file that are built on this host.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use spdx::{Expression, ParseMode};

use super::allowed::{DUPLICATES, LICENCES};
use crate::cargo;

/// Runs the check.
pub(super) fn check() -> Result<()> {
    let metadata = cargo::metadata()?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let packages: Vec<_> = packages.iter().filter_map(Package::read).collect();
    let mut faults: Vec<_> = packages.iter().filter_map(Package::licence_fault).collect();
    faults.extend(duplicate_faults(&packages, &DUPLICATES));
    if !faults.is_empty() {
        bail!("{} faults (see xtask/src/lint/allowed.rs)\n  {}", faults.len(), faults.join("\n  "));
    }
    println!("dependencies: {} packages, licences and versions as allowed", packages.len());
    Ok(())
}

/// How licences on crates.io are read: `A/B` is the old notation for `A OR B`, and deprecated names are valid. A name that SPDX
/// does not know is not allowed, but may be an alternative to an allowed one.
const SPELLING: ParseMode =
    ParseMode { allow_slash_as_or_operator: true, allow_deprecated: true, allow_unknown: true, ..ParseMode::STRICT };

/// True if allowed licences alone satisfy the expression. Exceptions (`WITH`) only add rights. An expression that can't be parsed
/// is not allowed.
fn is_allowed(expression: &str) -> bool {
    let known = |name: &str| LICENCES.contains(&name);
    Expression::parse_mode(expression, SPELLING).is_ok_and(|expression| {
        expression.evaluate(|required| required.license.id().is_some_and(|licence| known(licence.name)))
    })
}

/// The properties of a package that are checked.
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    ours: bool,
}

impl Package {
    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            name: value["name"].as_str()?.to_owned(),
            version: value["version"].as_str()?.to_owned(),
            licence: value["license"].as_str().map(str::to_owned),
            ours: value["source"].is_null(),
        })
    }

    fn licence_fault(&self) -> Option<String> {
        let Self { name, version, .. } = self;
        match &self.licence {
            None => Some(format!("{name} {version} states no licence")),
            Some(licence) if self.ours || is_allowed(licence) => None,
            Some(licence) => Some(format!("{name} {version} has a licence that is not allowed: {licence}")),
        }
    }
}

fn duplicate_faults(packages: &[Package], allowed: &[(&str, &str)]) -> Vec<String> {
    let mut versions = BTreeMap::<&str, BTreeSet<&str>>::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let known: BTreeSet<_> = allowed.iter().map(|(name, _)| *name).collect();
    let new = versions.iter().filter(|(name, _)| !known.contains(*name)).map(|(name, versions)| {
        let versions = versions.iter().copied().collect::<Vec<_>>().join(", ");
        format!("{name} is built in several versions: {versions}; see `cargo tree --invert {name}`")
    });
    let stale = known.iter().filter(|name| !versions.contains_key(*name));
    new.chain(stale.map(|name| format!("{name} is no longer built twice: remove it from the list"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, licence: Option<&str>) -> Package {
        Package { name: name.into(), version: version.into(), licence: licence.map(Into::into), ours: false }
    }

    #[test]
    fn a_second_version_needs_a_reason() {
        let packages = [package("a", "1.0.0", None), package("a", "2.0.0", None), package("b", "1.0.0", None)];
        assert_eq!(duplicate_faults(&packages, &[("a", "why")]), Vec::<String>::new());
        assert!(duplicate_faults(&packages, &[])[0].starts_with("a is built in several versions: 1.0.0, 2.0.0"));
    }

    #[test]
    fn a_reason_without_a_second_version_is_stale() {
        let packages = [package("a", "1.0.0", None)];
        assert_eq!(
            duplicate_faults(&packages, &[("a", "why")]),
            ["a is no longer built twice: remove it from the list"]
        );
    }

    #[test]
    fn a_licence_must_be_stated_and_allowed() {
        assert!(package("a", "1.0.0", None).licence_fault().is_some());
        assert!(package("a", "1.0.0", Some("AGPL-3.0")).licence_fault().is_some());
        assert!(package("a", "1.0.0", Some("MIT")).licence_fault().is_none());
    }

    #[test]
    fn a_licence_is_allowed_if_allowed_ones_satisfy_it() {
        let allowed = ["GPL-3.0 OR MIT", "MIT/GPL-3.0", "Custom OR MIT", "MIT OR Apache-2.0 AND GPL-3.0"];
        for expression in allowed.into_iter().chain(["Apache-2.0 WITH LLVM-exception", "(MIT OR GPL-3.0) AND ISC"]) {
            assert!(is_allowed(expression), "{expression}");
        }
        for expression in ["GPL-3.0 OR AGPL-3.0", "MIT AND GPL-3.0", "Custom", "", "MIT OR", "(MIT", "MIT ISC", "MIT)"]
        {
            assert!(!is_allowed(expression), "{expression}");
        }
    }

    #[test]
    fn the_list_has_names_of_spdx() {
        assert!(LICENCES.iter().all(|name| spdx::license_id(name).is_some()));
    }
}
