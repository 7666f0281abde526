//! Kubernetes' own programs and CoreDNS, built by Go from the modules that `go.mod` pins, and kept in the cache in a
//! folder for each version of that list.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};

use crate::{command, folders};

/// Kubernetes' tests: a package of tests, not a program.
const TESTS: &str = "k8s.io/kubernetes/test/e2e";

/// The programs of one version.
pub struct Programs {
    folder: PathBuf,
    version: String,
}

impl Programs {
    /// The programs in the cache, whether or not all are there.
    pub fn find() -> Result<Self> {
        let read = |name: &str| {
            let path = folders::source().join(name);
            fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
        };
        let (modules, sums) = (read("go.mod")?, read("go.sum")?);
        let version = version(&modules).context("go.mod pins no k8s.io/kubernetes")?.to_owned();
        let mut hasher = DefaultHasher::new();
        (&modules, &sums).hash(&mut hasher);
        let folder = folders::cache().join(format!("{version}-{:016x}", hasher.finish()));
        Ok(Self { folder, version })
    }

    /// Packages whose programs are not in the cache.
    fn missing(&self) -> Result<Vec<String>> {
        let mut names = tools(&fs::read_to_string(folders::source().join("go.mod"))?);
        names.retain(|name| !self.path(binary(name)).exists());
        Ok(names)
    }

    /// The programs in the cache; builds those that are missing.
    pub fn build() -> Result<Self> {
        let programs = Self::find()?;
        let missing = programs.missing()?;
        if missing.is_empty() {
            return Ok(programs);
        }
        if let Some(lack) = missing_go() {
            bail!("Kubernetes' programs are not in {}, and can't be built: {lack}", programs.folder.display());
        }
        println!(
            "building Kubernetes {} and CoreDNS into {}: about 15 minutes on two processors, once",
            programs.version,
            programs.folder.display()
        );
        fs::create_dir_all(&programs.folder).with_context(|| format!("create {}", programs.folder.display()))?;
        let (tests, mains): (Vec<_>, Vec<_>) = missing.iter().partition(|name| *name == TESTS);
        if !mains.is_empty() {
            // The trailing slash makes Go take the path for a folder, also for one program.
            go(&programs.version, &["build", "-o", &format!("{}/", programs.folder.display())], &mains)?;
        }
        if !tests.is_empty() {
            go(
                &programs.version,
                &["test", "-c", "-vet=off", "-o", &programs.path(binary(TESTS)).to_string_lossy()],
                &tests,
            )?;
        }
        Ok(programs)
    }

    /// A program's path.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `cargo xtask cluster programs`: prints the programs' folder if all of them are there.
    pub fn show() -> Result<ExitCode> {
        let programs = Self::find()?;
        let missing = programs.missing()?.len();
        if missing > 0 {
            let folder = programs.folder.display();
            bail!("{missing} of Kubernetes' programs are not in {folder}: `cargo xtask cluster up` builds them");
        }
        println!("{}", programs.folder.display());
        Ok(ExitCode::SUCCESS)
    }

    /// Kubernetes' version, with its "v".
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// Runs Go over packages. Programs without a version of their own call themselves v0.0.0.
fn go(version: &str, arguments: &[&str], packages: &[&String]) -> Result<()> {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let base = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {base}.gitVersion={version} -X {base}.gitMajor={major} -X {base}.gitMinor={minor} \
         -X k8s.io/client-go/pkg/version.gitVersion={version}"
    );
    let mut command = Command::new("go");
    command.args(arguments).args(["-mod=readonly", "-trimpath", "-ldflags", &flags]).args(packages);
    command.current_dir(folders::source()).env("CGO_ENABLED", "0");
    println!("$ go {} …", arguments.join(" "));
    let status = command.status().context("start go")?;
    if !status.success() {
        bail!("go has failed, {status}: the modules come from the proxy that `go env GOPROXY` names");
    }
    Ok(())
}

/// The version of Kubernetes that the list pins.
fn version(modules: &str) -> Option<&str> {
    modules.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes ")?.split(' ').next())
}

/// The packages that the list names as tools.
fn tools(modules: &str) -> Vec<String> {
    let block = modules.lines().skip_while(|line| *line != "tool (").skip(1).take_while(|line| *line != ")");
    block.map(|line| line.trim().to_owned()).collect()
}

/// The name of a package's program.
fn binary(package: &str) -> &str {
    if package == TESTS {
        return "e2e.test";
    }
    Path::new(package).file_name().and_then(|name| name.to_str()).unwrap_or(package)
}

/// The reason why nothing can be built here; `None` if it can.
fn missing_go() -> Option<String> {
    const NEEDED: (u32, u32) = (1, 26);
    let Ok(text) = command::output(Command::new("go").args(["env", "GOVERSION"])) else {
        return Some(format!("Go {}.{} or newer: not installed (https://go.dev/dl)", NEEDED.0, NEEDED.1));
    };
    let found = text.trim().trim_start_matches("go");
    let mut numbers = found.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= NEEDED => None,
        _ => Some(format!("Go {}.{} or newer: this one is {found}", NEEDED.0, NEEDED.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULES: &str = "module m\n\ntool (\n\tgithub.com/coredns/coredns\n\tk8s.io/kubernetes/cmd/kubelet\n)\n\n\
                           require (\n\tk8s.io/kubernetes v1.36.3\n)\n";

    #[test]
    fn the_list_of_modules_says_what_is_built() {
        assert_eq!(version(MODULES), Some("v1.36.3"));
        assert_eq!(tools(MODULES), ["github.com/coredns/coredns", "k8s.io/kubernetes/cmd/kubelet"]);
        assert_eq!(["k8s.io/kubernetes/cmd/kubelet", TESTS].map(binary), ["kubelet", "e2e.test"]);
    }
}
