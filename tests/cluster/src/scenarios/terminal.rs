//! A terminal of the cluster's administrator, outside of every node, in which scenarios type the commands of pages.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use lab::typed;

use super::cluster::{Cluster, WAIT_LIMIT};
use crate::{
    certificates::{self, CONTROL},
    command, folders, network,
};

/// The names that pages take as examples, and this cluster's.
const NAMES: [(&str, &str); 3] = [("REGISTRY/waggle", "waggle"), ("192.0.2.10", CONTROL), ("=TAG", "=0.1.0")];

/// A shell with kubectl, kubeadm and Helm in its PATH.
pub struct Terminal {
    folder: PathBuf,
    path: OsString,
}

impl Terminal {
    /// In the repository's folder.
    pub fn new(cluster: &Cluster) -> Result<Self> {
        Self::within(cluster, typed::repository())
    }

    /// In another folder.
    pub fn within(cluster: &Cluster, folder: &Path) -> Result<Self> {
        fs::create_dir_all(own_programs()).with_context(|| format!("create {}", own_programs().display()))?;
        let helm = env::var_os("HELM_BIN").map(PathBuf::from);
        let programs = [Some(cluster.programs.path("kubectl")), helm].into_iter().flatten();
        let folders = programs.filter_map(|program| program.parent().map(Path::to_owned));
        let usual = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(folders.chain([own_programs()]).chain(env::split_paths(&usual)))?;
        Ok(Self { folder: folder.to_owned(), path })
    }

    /// Types a command, waits for its end, and returns what it prints.
    pub fn run(&self, line: &str) -> Result<String> {
        let limit = WAIT_LIMIT.as_secs().to_string();
        command::output(self.inside("timeout").args([&limit, "sh", "-ec", &own_names(line)]))
    }

    /// Types a command that goes on until it is killed.
    pub fn start(&self, line: &str) -> Result<Child> {
        let mut shell = self.inside("sh");
        // What is killed is then the command, not a shell around it.
        shell.args(["-ec", &format!("exec {}", own_names(line))]);
        shell.stdin(Stdio::null()).stdout(Stdio::null()).spawn().with_context(|| format!("start {line}"))
    }

    fn inside(&self, program: &str) -> Command {
        let mut command = network::within("control", program);
        command.current_dir(&self.folder).env("PATH", &self.path);
        command.env("KUBECONFIG", certificates::kubeconfig("super-admin"));
        command
    }
}

/// A folder in the PATH that stands for `/usr/local/bin`. It is removed with the cluster.
pub fn own_programs() -> PathBuf {
    folders::state("bin")
}

fn own_names(line: &str) -> String {
    NAMES.iter().fold(line.to_owned(), |line, (example, own)| line.replace(example, own))
}
