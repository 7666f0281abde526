//! `waggle get --watch` beside an agent that changes Services, replaces its maps, and is removed.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    os::unix::fs::MetadataExt as _,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
};

use harness::{
    objects::{service, slice},
    scene::{Family, Origin, Scene, Setup, WAIT_LIMIT, expect, until},
};
use serde_json::{Value, json};

use super::get::{get_command, serve};

/// More Services than SERVICES has room for at first; each has two entries.
const SERVICES: usize = 2300;

/// A running `waggle get --watch`, and the lines that it prints.
struct Watch {
    process: Child,
    lines: Receiver<String>,
    /// Those on standard error.
    notes: Receiver<String>,
    readers: [JoinHandle<()>; 2],
}

/// Reads lines in another thread.
fn read(output: impl Read + Send + 'static) -> (Receiver<String>, JoinHandle<()>) {
    let (sender, lines) = channel();
    let read = move || BufReader::new(output).lines().map_while(Result::ok).for_each(|line| sender.send(line).unwrap());
    (lines, thread::spawn(read))
}

impl Watch {
    fn start(scene: &Scene, arguments: &str) -> Self {
        let mut command = get_command(scene, &format!("{arguments} --watch"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = scene.node.netns().inside(|| command.spawn()).unwrap().unwrap();
        let (lines, reader) = read(process.stdout.take().unwrap());
        let (notes, note_reader) = read(process.stderr.take().unwrap());
        Self { process, lines, notes, readers: [reader, note_reader] }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(WAIT_LIMIT).unwrap()
    }

    /// The next event in JSON: its lines end at the first one that is a closing brace.
    fn event(&self) -> Value {
        let mut text = String::new();
        while !text.ends_with("\n}") {
            text += "\n";
            text += &self.line();
        }
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Waits until it ends. Returns its exit code and what it says on standard error. It must have printed nothing more.
    fn end(mut self) -> (i32, String) {
        let status = self.process.wait().unwrap();
        self.readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert_eq!(self.lines.try_iter().collect::<Vec<_>>(), [] as [String; 0]);
        (status.code().unwrap(), self.notes.try_iter().map(|line| line + "\n").collect())
    }

    /// Ends it. It must have printed nothing more.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert_eq!(self.lines.try_iter().collect::<Vec<_>>(), [] as [String; 0]);
    }
}

#[test]
fn watch_prints_rows_that_come_change_and_go() {
    let scene = Setup::new("get-watch").backends(1).start();
    serve(&scene);
    let watch = Watch::start(&scene, "services -n default");
    let first: Vec<String> = (0..4).map(|_| watch.line()).collect();
    assert!(
        first[0].starts_with("NAMESPACE ") && first[1].contains(" shop ") && first[3].contains(" web "),
        "{first:?}"
    );
    scene.put(&service("new").cluster_ip("10.96.0.12").port(80, 80).build());
    let line = watch.line();
    assert!(line.contains(" new ") && line.contains("none: rejects"), "{line}");
    assert_eq!(line.find("10.96.0.12"), first[1].find("10.96.0.11"), "columns stay");
    scene.put(&slice("new").port(80).pod(scene.pod(1)).build());
    let changed = watch.line();
    assert!(changed.contains(" new ") && !changed.contains("none: rejects"), "{changed}");
    scene.delete("Service", "new");
    assert_eq!(watch.line(), changed, "a deleted row is printed as it was last");
    watch.kill();
}

#[test]
fn watch_goes_on_while_maps_are_replaced_and_ends_when_they_are_removed() {
    let mut scene = Setup::new("get-moved").origin(Origin::Api).backends(1).start();
    serve(&scene);
    let watch = Watch::start(&scene, "endpoints shop --output-watch-events -o json");
    let without = watch.event();
    assert_eq!((&without["type"], &without["object"]["name"]), (&json!("ADDED"), &json!("shop")));
    let pin = scene.waggle.pins().join("services");
    let inode = || fs::metadata(&pin).unwrap().ino();
    let before = inode();
    for number in 0..SERVICES {
        let address = format!("10.96.{}.{}", 16 + number / 250, number % 250);
        scene.put(&service(&format!("many-{number}")).cluster_ip(&address).port(80, 8080).build());
    }
    until("a larger map is in place", || inode() != before);
    scene.put(&slice("shop").port(80).pod(scene.pod(1)).build());
    let [gone, with] = [watch.event(), watch.event()];
    assert_eq!(gone, json!({"type": "DELETED", "object": without["object"]}), "the row without a backend");
    assert_eq!((&with["type"], &with["object"]["lists"]), (&json!("ADDED"), &json!(["Cluster"])));
    scene.waggle.kill().unwrap();
    let (success, text) = scene.cli(&["cleanup"]);
    assert!(success, "{text}");
    let (code, errors) = watch.end();
    let instance = scene.node.instance();
    let expected =
        format!("waggle: watch instance {instance:?}: its data plane has been removed, as `waggle cleanup` does\n");
    assert_eq!((code, errors), (1, expected));
}

#[test]
fn watch_follows_labels_and_goes_on_while_the_agent_restarts() {
    let mut scene = Setup::new("get-labels").backends(1).start();
    let put = |scene: &Scene, name: &str, number: u8, app: &str| {
        let service = service(name).cluster_ip(&format!("10.96.0.{number}")).port(80, 80);
        scene.put(&service.label("app", app).build());
    };
    put(&scene, "web", 10, "web");
    put(&scene, "shop", 11, "shop");
    expect(&scene.from_pod, Family::Ipv4.frontend(11), &["ECONNREFUSED"]);
    let watch = Watch::start(&scene, "services -l app=web --output-watch-events --no-headers");
    let next = |event: &str, name: &str| {
        let line = watch.line();
        assert!(line.starts_with(event) && line.contains(&format!(" {name} ")), "{line}");
    };
    next("ADDED", "web");
    put(&scene, "shop", 11, "web");
    next("ADDED", "shop");
    scene.waggle.kill().unwrap();
    let note = watch.notes.recv_timeout(WAIT_LIMIT).unwrap();
    let expected = "waggle: labels are as they were last, until the agent answers again: no agent answers at ";
    assert!(note.starts_with(expected), "{note}");
    put(&scene, "web", 10, "other");
    let _again = scene.agent(&[]);
    next("DELETED", "web");
    put(&scene, "shop", 11, "other");
    next("DELETED", "shop");
    watch.kill();
}
