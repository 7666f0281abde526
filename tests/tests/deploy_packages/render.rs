//! Renders the chart and the kustomizations, by the programs that their users have.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use harness::lab::find_program;
use serde_json::Value;

/// Labels that Helm's conventions ask for, and that no kustomization has.
const HELMS_LABELS: [&str; 3] = ["app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"];

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

    /// The chart's objects, as for a release `waggle` in `kube-system` whose image is `waggle`. Fails with Helm's message.
    pub fn chart(&self, values: &Value) -> Result<Objects, String> {
        self.chart_for(OLDEST, values)
    }

    /// The same in a cluster of another version.
    pub fn chart_for(&self, kubernetes: &str, values: &Value) -> Result<Objects, String> {
        self.helm(&["template", "waggle", "--kube-version", kubernetes], &deploy("chart"), &with_image(values))
            .map(|text| objects(&text))
    }

    /// The chart's objects without a default for the image. Fails with Helm's message.
    pub fn chart_as_it_is(&self, values: &Value) -> Result<Objects, String> {
        self.helm(&["template", "waggle", "--kube-version", OLDEST], &deploy("chart"), values)
            .map(|text| objects(&text))
    }

    /// What Helm prints after an installation. Helm asks a cluster before it does, so the text is rendered as a template.
    pub fn notes(&self, namespace: &str, values: &Value) -> String {
        const TEMPLATE: &str = "notes: |\n  {{- tpl (.Files.Get \"NOTES.txt\") . | nindent 2 }}\n";
        let folder = tempfile::tempdir().unwrap();
        let chart = folder.path().join("chart");
        fs::create_dir_all(chart.join("templates")).unwrap();
        for file in ["Chart.yaml", "values.yaml", "templates/_agent.tpl", "templates/_names.tpl"] {
            fs::copy(deploy("chart").join(file), chart.join(file)).unwrap();
        }
        fs::copy(deploy("chart/templates/NOTES.txt"), chart.join("NOTES.txt")).unwrap();
        fs::write(chart.join("templates/notes.yaml"), TEMPLATE).unwrap();
        let arguments = ["template", "waggle", "--kube-version", OLDEST, "--namespace", namespace];
        let text = self.helm(&arguments, &chart, &with_image(values)).unwrap();
        let notes: Value = serde_saphyr::from_str(&text).unwrap();
        notes["notes"].as_str().unwrap().to_owned()
    }

    /// `helm lint --strict`. Fails with Helm's message.
    pub fn lint(&self, values: &Value) -> Result<String, String> {
        self.helm(&["lint", "--strict", "--kube-version", OLDEST], &deploy("chart"), values)
    }

    /// The objects of a folder of `deploy/`.
    pub fn kustomization(&self, folder: &str) -> Objects {
        objects(&self.kustomize(&deploy(folder), &["build"]))
    }

    /// What kustomize prints in a folder.
    pub fn kustomize(&self, folder: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.kustomize);
        run(command.args(arguments).current_dir(folder), "")
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    }

    fn helm(&self, arguments: &[&str], chart: &Path, values: &Value) -> Result<String, String> {
        let mut command = Command::new(&self.helm);
        // Of a flag that is given twice, the last one counts.
        command.args(&arguments[..1]).args(["--namespace", "kube-system"]).args(&arguments[1..]);
        run(command.arg(chart).args(["--values", "-"]), &values.to_string())
    }
}

/// Values with an image, unless they name one.
fn with_image(values: &Value) -> Value {
    let mut values = values.clone();
    let image = &mut values["image"]["repository"];
    if image.is_null() {
        *image = "waggle".into();
    }
    values
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

/// The objects in a text.
pub fn objects(text: &str) -> Objects {
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
