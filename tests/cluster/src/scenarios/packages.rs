//! The chart and the kustomizations, as the API server validates them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    cluster::{Cluster, eventually},
    helm::{self, deploy},
};
use crate::{command, kubectl};

/// Objects are validated and admitted, and not kept. An unknown field is an error.
const TRY: [&str; 3] = ["apply", "--dry-run=server", "--validate=strict"];

/// Values of the chart that add most objects and fields.
const MOST: [&str; 14] = [
    "apiServer.host=control",
    "kubeProxyConfigMap=kube-proxy",
    "instance=another",
    "udpTermination=false",
    "updateStrategy=OnDelete",
    "podLabels.team=net",
    "serviceAccount.annotations.team=net",
    "monitoring.openPort=true",
    "monitoring.dashboard=true",
    "monitoring.rules=true",
    "page.enabled=true",
    "networkPolicy.enabled=true",
    "networkPolicy.healthFrom[0].podSelector.matchLabels.app=balancer",
    "networkPolicy.metricsFrom[0].ipBlock.cidr=192.0.2.0/24",
];

/// Values that add the Prometheus Operator's objects.
const OPERATOR: [&str; 6] = [
    "monitoring.openPort=true",
    "monitoring.serviceMonitor=true",
    "monitoring.interval=1m30s",
    "monitoring.scrapeTimeout=20s",
    "monitoring.prometheusRule=true",
    "monitoring.operatorLabels.release=prometheus",
];

/// The module of Go that has the Prometheus Operator's types.
const OPERATOR_MODULE: &str = "github.com/prometheus-operator/prometheus-operator@v0.85.0";

/// The API server accepts every folder of `deploy/` and the chart, without the Prometheus Operator's objects, whose types it does
/// not have.
pub fn the_api_server_accepts_every_package(cluster: &Cluster) -> Result<()> {
    let overlays = ["kubeadm", "monitoring", "network-policy"].map(|name| format!("overlays/{name}"));
    for folder in ["", "cleanup", "cleanup-kube-proxy"].into_iter().chain(overlays.iter().map(String::as_str)) {
        accepts_folder(cluster, folder)?;
    }
    [&[][..], &MOST].into_iter().try_for_each(|values| accepts_chart(cluster, values))
}

/// The API server accepts what is for the Prometheus Operator once it has the operator's types.
pub fn the_api_server_accepts_what_is_for_the_prometheus_operator(cluster: &Cluster) -> Result<()> {
    let types = operator_types()?;
    for file in &types {
        // Not applied: that would keep the whole type once more, in an annotation which is too small for it.
        cluster.kubectl_outside(&["create", "-f", file])?;
    }
    let outcome = eventually("the operator's types", || accepts_folder(cluster, "overlays/prometheus-operator"))
        .and_then(|()| accepts_chart(cluster, &OPERATOR));
    // Even after a failure: the next run creates them.
    for file in &types {
        cluster.kubectl_outside(&["delete", "-f", file])?;
    }
    outcome
}

fn accepts_folder(cluster: &Cluster, folder: &str) -> Result<()> {
    let folder = deploy(folder).display().to_string();
    cluster.kubectl_outside(&[&TRY[..], &["-k", &folder]].concat()).map(drop)
}

fn accepts_chart(cluster: &Cluster, values: &[&str]) -> Result<()> {
    let objects = rendered(Path::new(&helm::program()?), cluster.programs.version(), values)?;
    let mut kubectl = kubectl::command(&cluster.programs, &[&TRY[..], &["-f", "-"]].concat());
    command::feed(&mut kubectl, &objects).with_context(|| format!("try the chart with {values:?}"))
}

/// The files of the operator's types, which Go downloads.
fn operator_types() -> Result<Vec<String>> {
    let mut download = Command::new("go");
    download.args(["mod", "download", "-json", OPERATOR_MODULE]).env("GO111MODULE", "on").current_dir("/");
    let module: Value =
        serde_json::from_str(&command::output(&mut download)?).context("read what go has downloaded")?;
    let folder = PathBuf::from(module["Dir"].as_str().context("go has downloaded the module to no folder")?);
    let file = |kind: &str| folder.join(format!("example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"));
    Ok(["servicemonitors", "prometheusrules"].map(|kind| file(kind).display().to_string()).into())
}

/// The chart's objects with these values, for a version of Kubernetes: Helm asks no API server for it here.
fn rendered(helm: &Path, version: &str, values: &[&str]) -> Result<String> {
    let mut template = Command::new(helm);
    template.args(["template", "waggle"]).arg(deploy("chart"));
    template.args(["--namespace", "kube-system", "--kube-version", version, "--set", "image.repository=waggle"]);
    command::output(template.args(values.iter().flat_map(|value| ["--set", value])))
}
