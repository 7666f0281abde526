//! Agents other than the built one, and an API server that never answers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::lab::{find_program, scratch};

/// The files of one test, which are removed with it.
#[derive(Debug)]
pub struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        // A later lab removes what is left.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Files {
    /// An empty folder. `name` begins with a letter.
    pub fn new(name: &str) -> Self {
        let folder = scratch(name);
        fs::create_dir_all(&folder).expect("make a folder");
        Self(folder)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A kubeconfig whose API server never answers: no host has its address.
    pub fn silent_api_server(&self) -> String {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "silent", "cluster": {"server": "http://192.168.50.250:6443"}}],
            "users": [{"name": "silent", "user": {}}],
            "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "silent"}}],
            "current-context": "silent",
        });
        let path = self.0.join("kubeconfig");
        fs::write(&path, config.to_string()).expect("write a kubeconfig");
        text(&path)
    }
}

/// The built agent.
pub fn built() -> String {
    text(&find_program("waggle", "WAGGLE_BIN").expect("find the agent"))
}

/// The agent that is built with another ABI.
pub fn other_abi() -> String {
    text(&find_program("waggle-other-abi", "WAGGLE_OTHER_ABI_BIN").expect("find the other agent"))
}

/// A path as text.
pub fn text(path: &Path) -> String {
    path.to_str().expect("a path of ours is UTF-8").to_owned()
}
