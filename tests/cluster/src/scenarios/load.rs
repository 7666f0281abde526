//! Requests without a pause, each by a connection of its own, while something changes.

use std::{process::Child, thread, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::cluster::Cluster;

/// The file that ends it.
const STOP: &str = "/tmp/stop";

/// A running load.
pub struct Load<'a> {
    cluster: &'a Cluster,
    pod: String,
    child: Child,
}

impl<'a> Load<'a> {
    /// Starts asking `url` from a pod.
    pub fn start(cluster: &'a Cluster, pod: &str, url: &str) -> Result<Self> {
        // What fails says why, in curl's words.
        let script = format!(
            "rm -f {STOP}; n=0; while [ ! -e {STOP} ]; do \
             curl -gsS -m 5 -o /dev/null {url}/hostname || echo \"request $n failed\"; n=$((n+1)); done 2>&1; echo asked $n"
        );
        let child = cluster.start_kubectl(&["exec", pod, "--", "sh", "-c", &script])?;
        // Some of it comes before the change.
        thread::sleep(Duration::from_secs(2));
        Ok(Self { cluster, pod: pod.to_owned(), child })
    }

    /// Ends it: none may have failed.
    pub fn end(self) -> Result<()> {
        thread::sleep(Duration::from_secs(2));
        self.cluster.in_pod(&self.pod, &format!("touch {STOP}"))?;
        let output = self.child.wait_with_output().context("wait for the load")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let asked = text.lines().find_map(|line| line.strip_prefix("asked ")?.parse::<u32>().ok());
        match asked {
            Some(1..) if text.lines().count() == 1 => Ok(()),
            Some(_) => bail!("requests failed:\n{text}"),
            None => bail!("the load has ended: {text}{}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}
