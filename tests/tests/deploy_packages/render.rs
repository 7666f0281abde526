//! Renders the chart and the kustomizations, by the programs that their users have.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use harness::lab::find_program;
use serde_json::Value;

/// Labels that Helm's conventions ask for, and that no kustomization has.
const HELMS_LABELS: [&str; 4] =
    ["app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"];

/// The oldest version of Kubernetes that the chart is for.
pub const OLDEST: &str = "1.30.0";

/// Objects by `KIND/NAME`, without Helm's labels.
pub type Objects = BTreeMap<String, Value>;

/// A file or folder of `deploy/`.
pub fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

/// Helm and kustomize.
pub struct Renderer {
    helm: PathBuf,
    kustomize: PathBuf,
}

impl Renderer {
    /// `None`, with a line that says so, where one of them has not been built.
    pub fn find() -> Option<Self> {
        let found = find_program("helm", "HELM_BIN")
            .and_then(|helm| Ok(Self { helm, kustomize: find_program("kustomize", "KUSTOMIZE_BIN")? }));
        if found.is_err() {
            println!("skipped: Helm and kustomize are missing (`cargo xtask test` builds them where Go is installed)");
        }
        found.ok()
    }

    /// The chart's objects, as for a release `waggle` in `kube-system`. Fails with Helm's message.
    pub fn chart(&self, values: &Value) -> Result<Objects, String> {
        self.chart_for(OLDEST, values)
    }

    /// The same in a cluster of another version.
    pub fn chart_for(&self, kubernetes: &str, values: &Value) -> Result<Objects, String> {
        self.helm(&["template", "waggle", "--kube-version", kubernetes], values).map(|text| objects(&text))
    }

    /// `helm lint --strict`. Fails with Helm's message.
    pub fn lint(&self, values: &Value) -> Result<String, String> {
        self.helm(&["lint", "--strict", "--kube-version", OLDEST], values)
    }

    /// The objects of a folder of `deploy/`.
    pub fn kustomization(&self, folder: &str) -> Objects {
        let mut command = Command::new(&self.kustomize);
        objects(&run(command.arg("build").arg(deploy(folder)), "").unwrap_or_else(|error| panic!("{folder}: {error}")))
    }

    fn helm(&self, arguments: &[&str], values: &Value) -> Result<String, String> {
        let mut command = Command::new(&self.helm);
        command.args(arguments).arg(deploy("chart")).args(["--namespace", "kube-system", "--values", "-"]);
        run(&mut command, &values.to_string())
    }
}

/// Runs a program with an input. Returns what it printed, or its message if it failed.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        // `helm lint` prints its findings.
        Err(text(&[output.stderr, output.stdout].concat()))
    }
}

fn objects(text: &str) -> Objects {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    let mut objects = Objects::new();
    for mut object in documents.into_iter().filter(|document| !document.is_null()) {
        let name = format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        if let Some(labels) = object["metadata"]["labels"].as_object_mut() {
            labels.retain(|label, _| !HELMS_LABELS.contains(&label.as_str()));
        }
        assert!(objects.insert(name.clone(), object).is_none(), "{name} is there twice");
    }
    assert!(!objects.is_empty(), "nothing in {text:?}");
    objects
}
