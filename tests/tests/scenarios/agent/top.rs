//! `waggle top` in a pipe and on a terminal, beside a running agent and without it.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read as _, Write as _},
    num::NonZeroU16,
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use harness::{
    lab::{eventually, find_program},
    objects::service,
    scene::{Family, PORTS, Scene, Setup, WAIT_LIMIT, expect, until, web, web_slice},
};
use nix::{
    pty::{OpenptyResult, Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, tcgetattr},
    },
    unistd::Pid,
};
use serde_json::Value;

/// Serves `default/web` by pod 1; `default/idle` has the backend, too, and `default/shop` none.
pub(super) fn serve(scene: &Scene) {
    for (name, number) in [("web", 10), ("idle", 12)] {
        scene.put(&web(name, [Family::Ipv4.cluster_ip(number)]).build());
        scene.put(&web_slice(name, Family::Ipv4).pod(scene.pod(1)).build());
    }
    scene.put(&service("shop").cluster_ip("10.96.0.11").port(80, 80).build());
    expect(&scene.from_pod, Family::Ipv4.frontend(10), &["p1"]);
    expect(&scene.from_pod, Family::Ipv4.frontend(11), &["ECONNREFUSED"]);
}

/// The cell of a column in the only line of the table that begins with these words.
pub(super) fn cell(frame: &str, title: &str, words: &[&str]) -> String {
    let titles: Vec<&str> = frame.lines().find(|line| line.contains(title)).unwrap().split_whitespace().collect();
    let column = titles.iter().position(|one| *one == title).unwrap();
    let lines = frame.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found: Vec<_> = lines.filter(|cells| cells.starts_with(words)).collect();
    assert_eq!(found.len(), 1, "{words:?} in {frame}");
    found[0][column].to_owned()
}

#[test]
fn top_once_prints_the_rates_of_what_is_dialled_with_and_without_the_agent() {
    let mut scene = Setup::new("top-once").backends(1).start();
    serve(&scene);
    for is_running in [true, false] {
        // Neither is standard output a terminal here, so `--once` is the same as no flag.
        for flag in ["--once", "--interval=2"] {
            scene.while_dialling(|| {
                until("the Service that is dialled has a rate, and so have refusals", || {
                    let (success, frame) = scene.cli(&["top", flag]);
                    assert!(success && !frame.contains('\x1b'), "{frame}");
                    let rate = |name, port| cell(&frame, "CONNECTIONS/S", &["default", name, port]);
                    let others = [rate("web", "udp"), rate("idle", "tcp"), rate("idle", "udp"), rate("shop", "-")];
                    assert_eq!(others, ["0.0"; 4], "{frame}");
                    let refused = cell(&frame, "REFUSED/S", &["reject", "no_backend"]);
                    [rate("web", "tcp"), refused].iter().all(|rate| rate.parse::<f64>().unwrap() > 0.0)
                });
            });
        }
        if is_running {
            scene.waggle.kill().unwrap();
        }
    }
    let (success, frame) = scene.cli(&["top", "-n", "kube-system"]);
    assert!(success && !frame.contains("default"), "{frame}");
    let (_, json) = scene.cli(&["top", "-n", "default", "-o", "json"]);
    let frame: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let names = |port: &Value| format!("{}:{}", port["name"], port["port"]).replace('"', "");
    let ports: BTreeSet<_> = frame["services"].as_array().unwrap().iter().map(names).collect();
    assert!(ports.is_superset(&["web:tcp", "web:udp", "idle:tcp"].map(str::to_owned).into()), "{frame}");
}

#[test]
fn top_of_an_instance_that_is_not_there_fails() {
    let scene = Setup::new("top-none").build();
    let (success, text) = scene.cli(&["top", "--once"]);
    assert!(!success && text.contains("find instance"), "{text}");
}

/// The size of the pseudo-terminal.
const LINES: NonZeroU16 = NonZeroU16::new(30).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(110).unwrap();

/// `waggle top` in a pseudo-terminal and in the node's network namespace, and what its screen shows.
pub(super) struct Session {
    child: Child,
    keys: File,
    /// The half of the command, which stays open so that its settings can be read after the command has ended.
    terminal: OwnedFd,
    screen: Arc<Mutex<vt100::Parser>>,
    reader: Option<JoinHandle<()>>,
}

impl Session {
    pub(super) fn start(scene: &Scene, arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: LINES.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
        // A session of its own: its controlling terminal is this one, not that of the person who runs the test.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(find_program("waggle", "WAGGLE_BIN").unwrap()).arg("top").args(arguments);
        command.args(["--instance", &scene.node.instance()]).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let stream = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let child = scene.node.netns().inside(|| command.spawn()).unwrap().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(LINES, COLUMNS, 0)));
        let mut output = File::from(master.try_clone().unwrap());
        let shown = Arc::clone(&screen);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end is an error (EIO), once no process has the other half open.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self { child, keys: master.into(), terminal: slave, screen, reader: Some(reader) }
    }

    pub(super) fn contents(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    pub(super) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    #[track_caller]
    pub(super) fn wait_for(&self, wanted: &[&str]) {
        let is_shown = || wanted.iter().all(|text| self.contents().contains(text));
        let found = eventually(WAIT_LIMIT, is_shown);
        assert!(found, "{wanted:?} is not shown in\n{}", self.contents());
    }

    /// Whether lines are edited and characters echoed, as shells expect it.
    fn is_cooked(&self) -> bool {
        tcgetattr(self.terminal.as_fd()).unwrap().local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO)
    }

    /// Waits for the end, and checks that the terminal is as it was before.
    pub(super) fn end(mut self) {
        let mut status = None;
        until("the end of waggle top", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", self.contents());
        assert!(self.is_cooked());
        until("the first screen, with a cursor", || {
            let parser = self.screen.lock().unwrap();
            !parser.screen().alternate_screen() && !parser.screen().hide_cursor()
        });
        assert_eq!(self.contents(), "", "nothing is left on the first screen");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It has ended unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reader.take();
    }
}

#[test]
fn top_on_a_terminal_shows_services_backends_and_refusals_and_restores_it() {
    let scene = Setup::new("top-keys").backends(1).start();
    serve(&scene);
    let held = [(); 2].map(|()| scene.from_node.connect_tcp(Family::Ipv4.frontend(10)).unwrap());
    let mut session = Session::start(&scene, &[]);
    session.wait_for(&["Services by connections/s", "default/web:tcp", "default/shop", "q quit"]);
    assert!(!session.is_cooked(), "keys are read one by one");
    scene.while_dialling(|| {
        until("the first Service is the one that is dialled", || {
            let contents = session.contents();
            let first = contents.lines().skip_while(|line| !line.starts_with("SERVICE")).nth(1).unwrap_or_default();
            let cells: Vec<&str> = first.split_whitespace().collect();
            cells.first() == Some(&"default/web:tcp") && !["-", "0"].contains(&cells[2])
        });
    });
    session.press("/web:tcp\r");
    session.wait_for(&["those with \"web:tcp\": 1 of"]);
    session.press("\r");
    let backend = format!("{}:{}", Family::Ipv4.of(scene.pod(1)), PORTS[0]);
    session.wait_for(&["Backends of default/web:tcp TCP", &backend]);
    until("the backend has every slot, and both held connections", || {
        let contents = session.contents();
        let line = contents.lines().find(|line| line.starts_with(&backend)).unwrap_or_default();
        let cells: Vec<&str> = line.split_whitespace().collect();
        cells.contains(&"100.0%") && cells.ends_with(&["2", "100.0%"])
    });
    session.press("\x1b");
    session.wait_for(&["Services by connections/s"]);
    session.press("\t");
    session.wait_for(&["Refused packets and calls by reason", "no_backend"]);
    session.press("?");
    session.wait_for(&["any key closes this page"]);
    session.press("xq");
    session.end();
    drop(held);
}

#[test]
fn top_ends_by_a_signal_and_outlives_its_instance() {
    let mut scene = Setup::new("top-signal").backends(1).start();
    serve(&scene);
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let session = Session::start(&scene, &["--interval", "3600"]);
        session.wait_for(&["default/web:tcp"]);
        kill(Pid::from_raw(session.child.id().cast_signed()), signal).unwrap();
        session.end();
    }
    let mut session = Session::start(&scene, &[]);
    session.wait_for(&["default/web:tcp"]);
    scene.waggle.kill().unwrap();
    let (success, text) = scene.cli(&["cleanup"]);
    assert!(success, "{text}");
    session.wait_for(&["default/web:tcp", "trying again: find instance"]);
    scene.waggle.restart().unwrap();
    until("it is read again", || !session.contents().contains("trying again"));
    session.press("\x03");
    session.end();
}
