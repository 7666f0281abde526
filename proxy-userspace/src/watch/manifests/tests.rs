use std::{fs, path::Path, sync::atomic::Ordering, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{packed::Packed, *};
use crate::objects::{Kind, Object};

/// A source over a temporary folder. Dropping it ends the source and removes the folder.
struct Lab {
    root: tempfile::TempDir,
    events: mpsc::Receiver<Event>,
    refusals: Arc<AtomicU64>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn config(root: &Path) -> ManifestsConfig {
    ManifestsConfig::new(root.join("manifests"), "node-1", root.join("state/allocations.json"))
}

fn service(name: &str, spec: &str) -> String {
    format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}], {spec}}}\n")
}

impl Lab {
    fn start(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(root.path().join("manifests")).expect("made");
        for (file, text) in files {
            fs::write(root.path().join("manifests").join(file), text).expect("written");
        }
        Self::over(root)
    }

    fn over(root: tempfile::TempDir) -> Self {
        let source = Manifests::new(config(root.path()));
        let refusals = source.refusals();
        let (sender, events) = mpsc::channel(64);
        Self { root, events, refusals, task: tokio::spawn(source.run(sender)) }
    }

    /// Replaces a file atomically, as editors do.
    fn write(&self, file: &str, text: &str) {
        let path = self.root.path().join("manifests").join(file);
        let temporary = path.with_extension("new");
        fs::write(&temporary, text).expect("written");
        fs::rename(&temporary, &path).expect("replaced");
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.root.path().join("manifests").join(file)).expect("removed");
    }

    async fn next(&mut self) -> String {
        let event = timeout(Duration::from_secs(20), self.events.recv()).await.expect("an event in time");
        match event.expect("the source runs") {
            Event::Applied(object) => format!("+ {}", object.reference()),
            Event::Deleted(reference) => format!("- {reference}"),
            Event::Listed(kind) => format!("= {kind}"),
        }
    }

    async fn expect(&mut self, events: &[&str]) {
        for expected in events {
            assert_eq!(self.next().await, *expected);
        }
    }

    /// Skips the first complete report.
    async fn listed(&mut self) {
        while self.next().await != "= EndpointSlice" {}
    }

    async fn refused(&self, count: u64) {
        let reached = async {
            while self.refusals.load(Ordering::Relaxed) < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), reached).await.expect("refused in time");
        assert_eq!(self.refusals.load(Ordering::Relaxed), count);
    }
}

#[tokio::test]
async fn s30_every_kind_is_listed_in_order_also_when_there_is_none() {
    let mut lab = Lab::start(&[]);
    lab.expect(&["= Node", "+ ServiceCIDR kubernetes", "= ServiceCIDR", "= Service", "= EndpointSlice"]).await;
}

#[tokio::test]
async fn s38_edits_breaks_mends_and_removals_are_followed() {
    let mut lab = Lab::start(&[("a.yaml", &service("a", ""))]);
    lab.expect(&[
        "= Node",
        "+ ServiceCIDR kubernetes",
        "= ServiceCIDR",
        "+ Service default/a",
        "= Service",
        "= EndpointSlice",
    ])
    .await;
    lab.write("b.yaml", &(service("b", "") + &service("c", "")));
    lab.expect(&["+ Service default/b", "+ Service default/c"]).await;
    lab.write("b.yaml", &(service("b", "") + &service("c", "sessionAffinity: ClientIP")));
    lab.expect(&["+ Service default/c"]).await;
    // The file is malformed: only the count changes, and the next event comes from another file.
    lab.write("b.yaml", "a: [\n");
    lab.refused(1).await;
    lab.write("a.yaml", &service("a", "sessionAffinity: ClientIP"));
    lab.expect(&["+ Service default/a"]).await;
    // The file is repaired, but one object is invalid.
    lab.write("b.yaml", &(service("b", "type: X") + &service("c", "")));
    lab.expect(&["- Service default/b", "+ Service default/c"]).await;
    lab.refused(2).await;
    lab.remove("b.yaml");
    lab.expect(&["- Service default/c"]).await;
    fs::create_dir(lab.root.path().join("manifests/sub")).expect("made");
    lab.write("sub/d.yaml", &service("d", ""));
    lab.expect(&["+ Service default/d"]).await;
    lab.refused(2).await;
}

#[tokio::test]
async fn s38_a_folder_that_goes_keeps_its_content_and_is_followed_again() {
    let mut lab = Lab::start(&[("a.yaml", &service("a", ""))]);
    lab.listed().await;
    let (here, away) = (lab.root.path().join("manifests"), lab.root.path().join("away"));
    fs::rename(&here, &away).expect("moved");
    fs::create_dir(lab.root.path().join("next")).expect("made");
    fs::write(lab.root.path().join("next/b.yaml"), service("b", "")).expect("written");
    fs::remove_dir_all(&away).expect("removed");
    fs::rename(lab.root.path().join("next"), &here).expect("moved");
    lab.expect(&["- Service default/a", "+ Service default/b"]).await;
    lab.write("c.yaml", &service("c", ""));
    lab.expect(&["+ Service default/c"]).await;
}

#[tokio::test]
async fn s38_a_folder_that_is_missing_at_the_start_is_named() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (sender, _events) = mpsc::channel(1);
    let error = Manifests::new(config(root.path())).run(sender).await.expect_err("missing");
    let advice = "make it, or name another one with --manifests";
    let folder = config(root.path()).folder;
    let expected =
        format!("read manifests folder {} ({advice}): No such file or directory (os error 2)", folder.display());
    assert_eq!(Report(error.as_ref()).to_string(), expected);
}

#[tokio::test]
async fn s34_an_address_is_the_same_after_a_restart() {
    async fn address(lab: &mut Lab) -> Option<String> {
        loop {
            let event = timeout(Duration::from_secs(20), lab.events.recv()).await.expect("in time").expect("it runs");
            match event {
                Event::Applied(object) => {
                    if let Object::Service(service) = *object {
                        return service.spec.cluster_ip;
                    }
                }
                Event::Listed(Kind::Service) => return None,
                _ => {}
            }
        }
    }
    let mut lab = Lab::start(&[("a.yaml", &service("a", "clusterIP: 10.96.1.2"))]);
    assert_eq!(address(&mut lab).await.as_deref(), Some("10.96.1.2"));
    lab.listed().await;
    // The manifest no longer contains the address; only the allocations do.
    lab.write("a.yaml", &service("a", "sessionAffinity: ClientIP"));
    assert_eq!(address(&mut lab).await.as_deref(), Some("10.96.1.2"));
    let root = std::mem::replace(&mut lab.root, tempfile::tempdir().expect("a temporary folder"));
    drop(lab);
    let mut again = Lab::over(root);
    assert_eq!(address(&mut again).await.as_deref(), Some("10.96.1.2"));
}

#[tokio::test]
async fn s1_a_label_hides_and_reveals_a_service() {
    let hidden =
        service("a", "").replace("{name: a}", "{name: a, labels: {service.kubernetes.io/service-proxy-name: ''}}");
    let mut lab = Lab::start(&[("a.yaml", &hidden)]);
    lab.expect(&["= Node", "+ ServiceCIDR kubernetes", "= ServiceCIDR", "= Service", "= EndpointSlice"]).await;
    lab.write("a.yaml", &service("a", ""));
    lab.expect(&["+ Service default/a"]).await;
    lab.write("a.yaml", &hidden);
    lab.expect(&["- Service default/a"]).await;
}

#[tokio::test]
async fn s3_slices_of_a_headless_service_are_hidden() {
    let text = service("a", "clusterIP: None, selector: {app: a}")
        + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {app: a}}\nstatus: {podIP: 10.1.0.1}\n";
    let mut lab = Lab::start(&[("a.yaml", &text)]);
    lab.expect(&["= Node", "+ ServiceCIDR kubernetes", "= ServiceCIDR", "+ Service default/a", "= Service"]).await;
    lab.expect(&["= EndpointSlice"]).await;
    lab.write("a.yaml", &text.replace("clusterIP: None, ", ""));
    lab.expect(&["+ Service default/a"]).await;
    assert!(lab.next().await.starts_with("+ EndpointSlice default/a-ipv4-"));
}

#[test]
fn an_unchanged_slice_is_in_memory_once_after_its_file_was_read_again() {
    fn applied(reader: &mut Reader) -> Vec<Packed<Object>> {
        let changes = reader.read().expect("readable").into_iter();
        changes.filter_map(|change| if let Change::Applied(object) = change { Some(object) } else { None }).collect()
    }
    let root = tempfile::tempdir().expect("a temporary folder");
    let config = config(root.path());
    let file = config.folder.join("a.yaml");
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: IPv4\n";
    fs::create_dir(&config.folder).expect("made");
    fs::write(&file, slice).expect("written");
    let mut reader = Reader::new(config, RefusalLog::default());
    let first = applied(&mut reader).last().expect("the slice").downgrade();
    assert!(first.upgrade().is_some(), "nothing is kept of the file");
    fs::write(&file, slice.to_owned() + &service("a", "")).expect("written");
    assert_eq!(applied(&mut reader).len(), 1, "only the Service is new");
    assert!(first.upgrade().is_none(), "the slice of the first reading is still in memory");
}
