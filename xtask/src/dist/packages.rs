//! Makes what clusters install a release by: the Helm chart as an archive, and the manifests that kustomize makes of `deploy/`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{Release, commit::git};
use crate::{cargo, command, package_tools::PackageTools};

/// The folder of the chart.
const CHART: &str = "deploy/chart";

/// The oldest Kubernetes that the chart is for.
const KUBERNETES: &str = "1.30.0";

/// Makes both files, and returns their paths. Fails if Helm can't render the archive.
pub(super) fn write(release: &Release) -> Result<[PathBuf; 2]> {
    let tools = PackageTools::build()?
        .context("the chart and the manifests need Helm and kustomize, which are not built for the reason above")?;
    let chart = release.file(&format!("waggle-chart-{}.tgz", release.version));
    archive(&chart, &release.epoch)?;
    render(&tools.helm(), &chart)?;
    let manifests = release.file(&format!("waggle-{}.yaml", release.version));
    build(&tools.kustomize(), &manifests)?;
    Ok([chart, manifests])
}

/// Writes the chart's files as `helm package` does: below a folder with the chart's name, without folders of their own and without
/// symbolic links. All have the same owner, mode and time, so that equal files make an equal archive.
fn archive(path: &Path, epoch: &str) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.current_dir(cargo::root()).args(["--sort=name", "--format=ustar", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["--mode=0644", "--dereference", "--transform", &format!("s,^{CHART}/,waggle/,")]);
    // Without its option -n, gzip writes the time into the file.
    tar.arg(format!("--mtime=@{epoch}"))
        .arg("--use-compress-program=gzip -9 -n")
        .arg("--create")
        .arg("--file")
        .arg(path);
    command::run(tar.args(files()?))
}

/// The chart's files that git knows or would take.
fn files() -> Result<Vec<String>> {
    let files = git(&["ls-files", "--cached", "--others", "--exclude-standard", CHART])?;
    Ok(files.lines().map(str::to_owned).collect())
}

/// Fails if Helm can't make objects of an archive.
fn render(helm: &Path, chart: &Path) -> Result<()> {
    let mut template = Command::new(helm);
    template.args(["template", "waggle"]).arg(chart).args(["--kube-version", KUBERNETES]);
    template.args(["--namespace", "kube-system", "--set", "image.repository=waggle", "--set", "monitoring.rules=true"]);
    command::announce(&template);
    let output = command::output(&mut template)?;
    if !output.status.success() {
        bail!("Helm can't read {}: {}", chart.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Writes what kustomize makes of `deploy/`.
fn build(kustomize: &Path, path: &Path) -> Result<()> {
    let mut build = Command::new(kustomize);
    build.current_dir(cargo::root()).args(["build", "deploy"]);
    command::announce(&build);
    let output = build.stderr(Stdio::inherit()).output().context("start kustomize")?;
    if !output.status.success() {
        bail!("kustomize failed: {}", output.status);
    }
    fs::write(path, output.stdout).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn the_archive_of_the_chart_is_reproducible_and_helm_reads_it() {
        let folder = env::temp_dir().join(format!("waggle-chart-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [first, second] = ["first.tgz", "second.tgz"].map(|name| folder.join(name));
        archive(&first, "1700000000").unwrap();
        archive(&second, "1700000000").unwrap();
        let listing = command::output(Command::new("tar").args(["--list", "--verbose", "--file"]).arg(&first)).unwrap();
        let equal = fs::read(&first).unwrap() == fs::read(&second).unwrap();
        let rendered = env::var_os("HELM_BIN").map(|helm| render(Path::new(&helm), &first));
        fs::remove_dir_all(&folder).unwrap();
        assert!(equal, "equal files make unequal archives");
        rendered.unwrap_or(Ok(())).unwrap();
        let listing = String::from_utf8(listing.stdout).unwrap();
        let files: Vec<_> = listing.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        for file in
            ["Chart.yaml", "values.yaml", "values.schema.json", "README.md", "files/rules.yaml", "templates/rbac.yaml"]
        {
            assert!(files.contains(&format!("waggle/{file}").as_str()), "{file} is not in {files:?}");
        }
        assert!(listing.lines().all(|line| line.starts_with("-rw-r--r-- 0/0 ")), "{listing}");
    }
}
