//! Requests without a pause, each by a new connection, while something changes. The API server may be what changes, so
//! the load is started and ended without it.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{cluster::Cluster, container::Container};
use crate::{command, folders::state, network};

/// Where the requests are made.
enum Place {
    Pod(Container),
    /// The control plane's namespace, outside of every node.
    Outside,
}

impl Place {
    /// A command that runs a script there; `name` distinguishes it from others.
    fn script(&self, name: &str, script: &str) -> Result<Command> {
        match self {
            Self::Pod(container) => container.script(name, script),
            Self::Outside => {
                let mut command = network::within("control", "sh");
                command.args(["-c", script]);
                Ok(command)
            }
        }
    }

    /// The file whose existence ends the load.
    fn stop_file(&self) -> String {
        match self {
            Self::Pod(_) => "/tmp/stop".to_owned(),
            Self::Outside => state("load.stop").display().to_string(),
        }
    }
}

/// A running load.
pub struct Load {
    place: Place,
    child: Child,
}

impl Load {
    /// Starts requests to `url` from a pod.
    pub fn start(cluster: &Cluster, pod: &str, url: &str) -> Result<Self> {
        Self::start_at(Place::Pod(Container::of(cluster, pod)?), url)
    }

    /// Starts requests to `url` from outside of every node.
    pub fn start_outside(url: &str) -> Result<Self> {
        Self::start_at(Place::Outside, url)
    }

    fn start_at(place: Place, url: &str) -> Result<Self> {
        let stop = place.stop_file();
        // A failed request prints curl's reason.
        let script = format!(
            "rm -f {stop}; n=0; while [ ! -e {stop} ]; do \
             curl -gsS -m 5 -o /dev/null {url}/hostname || echo \"request $n failed at $(date +%T)\"; n=$((n+1)); \
             done 2>&1; echo asked $n"
        );
        let mut command = place.script("load", &script)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().context("start the load")?;
        // Some requests are made before the change.
        thread::sleep(Duration::from_secs(2));
        Ok(Self { place, child })
    }

    /// Ends the load; an error if a request has failed.
    pub fn end(self) -> Result<()> {
        thread::sleep(Duration::from_secs(2));
        command::output(&mut self.place.script("stop", &format!("touch {}", self.place.stop_file()))?)?;
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
