//! The chart and the kustomizations, as the API server validates them.

use std::{env, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::cluster::Cluster;
use crate::{command, folders, kubectl};

/// Objects are validated and admitted, and not kept. An unknown field is an error.
const TRY: [&str; 3] = ["apply", "--dry-run=server", "--validate=strict"];

/// Values of the chart that add most objects and fields.
const MOST: [&str; 7] = [
    "apiServer.host=control",
    "kubeProxyConfigMap=kube-proxy",
    "instance=another",
    "udpTermination=false",
    "monitoring.openPort=true",
    "monitoring.dashboard=true",
    "monitoring.rules=true",
];

/// The API server accepts every folder of `deploy/` and the chart, without the Prometheus Operator's objects, whose types it does
/// not have.
pub fn the_api_server_accepts_every_package(cluster: &Cluster) -> Result<()> {
    for folder in [".", "overlays/kubeadm", "overlays/monitoring", "cleanup", "cleanup-kube-proxy"] {
        let folder = folders::source().join("../../deploy").join(folder).display().to_string();
        cluster.kubectl_outside(&[&TRY[..], &["-k", &folder]].concat())?;
    }
    let helm = env::var_os("HELM_BIN")
        .context("there is no Helm: `cargo xtask cluster test` builds it, and says above why it could not")?;
    for values in [&[][..], &MOST] {
        let objects = rendered(Path::new(&helm), cluster.programs.version(), values)?;
        let mut kubectl = kubectl::command(&cluster.programs, &[&TRY[..], &["-f", "-"]].concat());
        command::feed(&mut kubectl, &objects).with_context(|| format!("try the chart with {values:?}"))?;
    }
    Ok(())
}

/// The chart's objects with these values, for a version of Kubernetes: Helm asks no API server for it here.
fn rendered(helm: &Path, version: &str, values: &[&str]) -> Result<String> {
    let mut template = Command::new(helm);
    template.args(["template", "waggle"]).arg(folders::source().join("../../deploy/chart"));
    template.args(["--namespace", "kube-system", "--kube-version", version]);
    command::output(template.args(values.iter().flat_map(|value| ["--set", value])))
}
