//! `waggle monitor`: what happens to calls and packets, beside a running agent and without one.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod associations;
mod filters;
mod packets;
mod ring;
mod sockets;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
};

use harness::{
    lab::find_program,
    scene::{Scene, WAIT_LIMIT, until},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// A running `waggle monitor`, and the lines that it prints.
struct Monitor {
    process: Child,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Starts it in the node's network namespace, and waits until the programs report.
    fn start(scene: &Scene, arguments: &str) -> Self {
        until("no other monitor", || !is_on(scene));
        let monitor = Self::spawn(scene, arguments);
        until("events are wanted", || is_on(scene));
        monitor
    }

    fn spawn(scene: &Scene, arguments: &str) -> Self {
        let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
        command.arg("monitor").args(arguments.split_whitespace()).args(["--instance", &scene.node.instance()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = scene.node.netns().inside(|| command.spawn()).unwrap().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        let reader = thread::spawn(move || {
            // The test may have what it wants.
            output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        Self { process, lines, reader: Some(reader) }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(WAIT_LIMIT).unwrap()
    }

    /// The next event of this type. Others before it are left out.
    fn event(&self, kind: &str) -> Value {
        self.find(kind, |event| event["type"] == kind)
    }

    /// The next event of this type of the flow from this address. An earlier connection may end only now.
    fn event_of(&self, kind: &str, client: SocketAddr) -> Value {
        let client = client.to_string();
        self.find(kind, |event| event["type"] == kind && event["client"] == client)
    }

    fn find(&self, kind: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let mut others = Vec::new();
        loop {
            let line = self.lines.recv_timeout(WAIT_LIMIT).unwrap_or_else(|_| panic!("no {kind} after {others:?}"));
            let event: Value = serde_json::from_str(&line).unwrap();
            if is_wanted(&event) {
                return event;
            }
            others.push(line);
        }
    }

    /// Interrupts it. Returns the events that it had not shown before.
    fn stop(self) -> Vec<Value> {
        self.signal(Signal::SIGINT);
        let (code, lines, errors) = self.end();
        assert_eq!((code, errors.as_str()), (0, ""));
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until it ends. Returns its exit code, what it has printed, and its errors.
    fn end(mut self) -> (i32, Vec<String>, String) {
        let mut errors = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let code = self.process.wait().unwrap().code().unwrap();
        self.reader.take().unwrap().join().unwrap();
        (code, self.lines.try_iter().collect(), errors)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It has ended unless the test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A field of the value of MONITOR.
fn wanted(scene: &Scene, field: &str) -> u64 {
    scene.dump("monitor")[0]["formatted"]["value"][field].as_u64().unwrap()
}

/// Whether the programs report events.
fn is_on(scene: &Scene) -> bool {
    wanted(scene, "kinds") != 0
}

/// The fields of an event that tests compare: type, Service, protocol and reason.
fn summary(event: &Value) -> String {
    let field = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
    format!("{} {} {} {}", field("type"), field("name"), field("protocol"), field("reason"))
}

/// The name of a backend's address in an event.
fn backend(event: &Value) -> &str {
    event["backend"].as_str().unwrap_or_default()
}
