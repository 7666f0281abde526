//! Helm and kustomize, by which tests and releases render `deploy/`: built by Go from the modules that `tests/packages/go.mod`
//! pins, into `target/packages`.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{cargo, command, ebpf_toolchain::find_program};

/// A program: its name, the environment variable by which tests find it, and Go's package.
const PROGRAMS: [(&str, &str, &str); 2] = [
    (HELM, "HELM_BIN", "helm.sh/helm/v3/cmd/helm"),
    (KUSTOMIZE, "KUSTOMIZE_BIN", "sigs.k8s.io/kustomize/kustomize/v5"),
];

const HELM: &str = "helm";
const KUSTOMIZE: &str = "kustomize";

/// The folder of the programs of one list of modules.
pub(crate) struct PackageTools(PathBuf);

impl PackageTools {
    /// Builds the programs, unless they are built. `None`, with a line that says why, where that can't be done: the tests that
    /// need them are skipped.
    pub(crate) fn build() -> Result<Option<Self>> {
        let tools = Self::find()?;
        if PROGRAMS.iter().all(|(name, ..)| tools.0.join(name).exists()) {
            return Ok(Some(tools));
        }
        if find_program("go").is_none() {
            println!("Helm and kustomize are not built: Go is not installed (https://go.dev/dl)");
            return Ok(None);
        }
        let built = command::run(&mut tools.go_build());
        if let Err(error) = &built {
            println!("Helm and kustomize are not built: {error:#} (are modules downloaded? see `go env GOPROXY`)");
        }
        Ok(built.is_ok().then_some(tools))
    }

    fn find() -> Result<Self> {
        let read = |name: &str| {
            let path = source().join(name);
            fs::read(&path).with_context(|| format!("read {}", path.display()))
        };
        let mut hasher = DefaultHasher::new();
        (read("go.mod")?, read("go.sum")?).hash(&mut hasher);
        Ok(Self(cargo::root().join("target/packages").join(format!("{:016x}", hasher.finish()))))
    }

    fn go_build(&self) -> Command {
        let mut command = Command::new("go");
        command.current_dir(source()).args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w"]);
        // Without optimisations the build takes 96 s of processor time, with them 132.
        command.arg("-gcflags=all=-N -l");
        // The trailing slash makes Go take the path for a folder.
        command.args(["-o", &format!("{}/", self.0.display())]).args(PROGRAMS.map(|(_, _, package)| package));
        command.env("CGO_ENABLED", "0");
        command
    }

    /// Returns the path of Helm.
    pub(crate) fn helm(&self) -> PathBuf {
        self.0.join(HELM)
    }

    /// Returns the path of kustomize.
    pub(crate) fn kustomize(&self) -> PathBuf {
        self.0.join(KUSTOMIZE)
    }

    /// Sets the programs' paths in the environment of `command`.
    pub(crate) fn set_environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(PROGRAMS.map(|(name, variable, _)| (variable, self.0.join(name))))
    }
}

/// The folder with Go's list of modules.
fn source() -> PathBuf {
    Path::new(cargo::root()).join("tests/packages")
}
