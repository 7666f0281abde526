//! Writes a software bill of materials (CycloneDX 1.5, JSON): every crate that the program and the eBPF programs in it are compiled
//! from, with version, licence and checksum. No tool knows the eBPF programs, which a build script compiles.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Release, build::TARGET, commit::git};
use crate::cargo::{self, EBPF_PACKAGE};

/// The packages whose dependencies are listed.
const ROOTS: [&str; 2] = ["proxy-userspace", EBPF_PACKAGE];

/// Writes the file, and returns its path.
pub(super) fn write(release: &Release, path: &Path) -> Result<PathBuf> {
    let metadata = cargo::metadata_for(TARGET)?;
    let lock = fs::read_to_string(cargo::root().join("Cargo.lock")).context("read Cargo.lock")?;
    let time = git(&["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"])?;
    let bom = bom(&metadata, &checksums(&lock), (&release.version, &time)).context("read cargo's metadata")?;
    let text = serde_json::to_string_pretty(&bom)? + "\n";
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path.to_owned())
}

/// Checksums by name and version.
type Checksums = BTreeMap<(String, String), String>;

/// Reads the checksums in a lock file.
fn checksums(lock: &str) -> Checksums {
    let field = |block: &str, name: &str| {
        let begin = format!("{name} = \"");
        block.lines().find_map(|line| Some(line.strip_prefix(&begin)?.strip_suffix('"')?.to_owned()))
    };
    let entry = |block: &str| Some(((field(block, "name")?, field(block, "version")?), field(block, "checksum")?));
    lock.split("[[package]]").filter_map(entry).collect()
}

/// Returns the bill; `None` if the metadata lacks something.
fn bom(metadata: &Value, checksums: &Checksums, (version, time): (&str, &str)) -> Option<Value> {
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()?
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let graph = graph(metadata)?;
    let roots: Vec<&str> = ROOTS
        .iter()
        .filter_map(|root| packages.iter().find(|(_, package)| package["name"] == *root))
        .map(|(id, _)| *id)
        .collect();
    let reached = reached(&graph, &roots);
    let components: Vec<Value> = reached.iter().filter_map(|id| component(packages.get(id)?, checksums)).collect();
    let dependencies: Vec<Value> = reached
        .iter()
        .filter_map(|id| {
            let on: Vec<String> = graph.get(id)?.iter().filter_map(|id| purl(packages.get(id)?)).collect();
            Some(json!({ "ref": purl(packages.get(id)?)?, "dependsOn": on }))
        })
        .collect();
    Some(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time,
            "component": { "type": "application", "bom-ref": "waggle", "name": "waggle", "version": version },
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

/// The packages that each package is linked with, without those of build scripts and tests.
fn graph(metadata: &Value) -> Option<BTreeMap<&str, BTreeSet<&str>>> {
    let nodes = metadata["resolve"]["nodes"].as_array()?;
    Some(nodes.iter().filter_map(|node| Some((node["id"].as_str()?, linked(node)?))).collect())
}

fn linked(node: &Value) -> Option<BTreeSet<&str>> {
    let is_linked = |dependency: &&Value| {
        dependency["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    Some(node["deps"].as_array()?.iter().filter(is_linked).filter_map(|on| on["pkg"].as_str()).collect())
}

fn reached<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>, roots: &[&'a str]) -> BTreeSet<&'a str> {
    let (mut reached, mut left) = (BTreeSet::new(), roots.to_vec());
    while let Some(id) = left.pop() {
        if reached.insert(id) {
            left.extend(graph.get(id).into_iter().flatten());
        }
    }
    reached
}

fn component(package: &Value, checksums: &Checksums) -> Option<Value> {
    let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
    let purl = purl(package)?;
    let mut component = json!({ "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl });
    if let Some(licence) = package["license"].as_str() {
        // The old notation for OR.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(sum) = checksums.get(&(name.to_owned(), version.to_owned())) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    Some(component)
}

/// The package's URL (github.com/package-url/purl-spec).
fn purl(package: &Value) -> Option<String> {
    Some(format!("pkg:cargo/{}@{}", package["name"].as_str()?, package["version"].as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_with_licence_and_checksum() {
        let package =
            |name: &str, licence: &str| json!({ "id": name, "name": name, "version": "1.0.0", "license": licence });
        let on = |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package("proxy-userspace", "MIT"), package("proxy-ebpf", "MIT"), package("a", "MIT/Apache-2.0"),
                package("b", "MIT"), package("cc", "MIT")],
            "resolve": { "nodes": [
                { "id": "proxy-userspace", "deps": [on("a", Value::Null), on("cc", "build".into())] },
                { "id": "proxy-ebpf", "deps": [on("b", Value::Null)] },
                { "id": "a", "deps": [on("b", Value::Null)] }, { "id": "b", "deps": [] }, { "id": "cc", "deps": [] },
            ] },
        });
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry\"\nchecksum = \"0f\"\n";
        let bom = bom(&metadata, &checksums(lock), ("0.1.0", "2026-01-01T00:00:00Z")).unwrap();
        let names: Vec<_> =
            bom["components"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["a", "b", "proxy-ebpf", "proxy-userspace"]);
        let a = json!({
            "type": "library", "bom-ref": "pkg:cargo/a@1.0.0", "name": "a", "version": "1.0.0", "purl": "pkg:cargo/a@1.0.0",
            "licenses": [{ "expression": "MIT OR Apache-2.0" }], "hashes": [{ "alg": "SHA-256", "content": "0f" }],
        });
        assert_eq!(bom["components"][0], a);
        assert_eq!(bom["dependencies"][0], json!({ "ref": "pkg:cargo/a@1.0.0", "dependsOn": ["pkg:cargo/b@1.0.0"] }));
    }
}
