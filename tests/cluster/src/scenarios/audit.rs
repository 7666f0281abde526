//! The agent's requests to the API server, by the audit log.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::cluster::Cluster;
use crate::folders::log;

/// The agent uses each right that `deploy/base/rbac.yaml` grants, except perhaps those for Events, which it writes only when
/// something is wrong. The API server refuses none of its requests.
pub fn the_agents_rights_are_those_it_uses(cluster: &Cluster) -> Result<()> {
    let role = cluster.kubectl(&["get", "clusterrole", "waggle", "-o", "json"])?;
    let role: Value = serde_json::from_str(&role).context("read the role")?;
    let path = log("audit");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let (mut used, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
        let asked = (resource.to_owned(), event["verb"].as_str().unwrap_or_default().to_owned());
        let is_refused = event["responseStatus"]["code"] == 403;
        if is_refused {
            refused.insert(asked)
        } else {
            used.insert(asked)
        };
    }
    ensure!(refused.is_empty(), "refused: {refused:?}");
    let granted = granted(&role);
    let is_for_events = |(resource, _): &&(String, String)| resource == "events";
    let unused: BTreeSet<_> = granted.difference(&used).filter(|right| !is_for_events(right)).collect();
    ensure!(used.is_subset(&granted) && unused.is_empty(), "granted are {granted:?}, used {used:?}");
    Ok(())
}

fn granted(role: &Value) -> BTreeSet<(String, String)> {
    let words = |rule: &Value, name: &str| -> Vec<String> {
        rule[name].as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let rules = role["rules"].as_array().into_iter().flatten();
    rules
        .flat_map(|rule| {
            let verbs = words(rule, "verbs");
            words(rule, "resources")
                .into_iter()
                .flat_map(move |resource| verbs.clone().into_iter().map(move |verb| (resource.clone(), verb)))
        })
        .collect()
}
