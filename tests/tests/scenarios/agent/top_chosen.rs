//! `waggle top` of chosen Services: by names, by namespace, and by labels, which a running agent knows.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::process::{Command, Output};

use harness::{
    lab::find_program,
    objects::ServiceBuilder,
    scene::{Family, Scene, Setup, until, web},
};
use nix::sys::signal::Signal;

use super::top::{Session, cell, serve};

/// The exit code of `waggle top --once` in the node's network namespace, and what it prints: output and errors.
fn top(scene: &Scene, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
    command.args(["top", "--once", "--instance", &scene.node.instance()]).args(arguments);
    let Output { status, stdout, stderr } = scene.node.netns().inside(|| command.output()).unwrap().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The names of the Services in a frame, by their first ports.
fn names(frame: &str) -> Vec<&str> {
    let of_service = frame.lines().filter_map(|line| line.strip_prefix("default "));
    let mut names: Vec<_> = of_service.filter_map(|cells| cells.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The Service `default/idle`, which [`serve`] makes without labels.
fn idle() -> ServiceBuilder {
    web("idle", [Family::Ipv4.cluster_ip(12)])
}

/// Serves Services as [`serve`] does; `default/web` has a label.
fn serve_labelled(scene: &Scene) {
    serve(scene);
    scene.put(&web("web", [Family::Ipv4.cluster_ip(10)]).label("app", "web").build());
    until("the label is known", || names(&top(scene, &["-l", "app=web"]).1) == ["web"]);
}

#[test]
fn top_shows_chosen_services_and_what_they_add_up_to() {
    let mut scene = Setup::new("top-chosen").backends(1).start();
    serve_labelled(&scene);
    for (arguments, expected) in [
        (&["web"][..], &["web"][..]),
        (&["svc/web", "default/shop"], &["shop", "web"]),
        (&["idle", "-n", "default"], &["idle"]),
        (&["-A"], &["idle", "shop", "web"]),
        (&["-l", "app"], &["web"]),
        (&["-l", "app!=web"], &["idle", "shop"]),
        (&["-l", "!app", "shop"], &["shop"]),
        (&["-l", "!app", "web"], &[]),
        (&["-n", "other"], &[]),
    ] {
        let (code, frame, errors) = top(&scene, arguments);
        assert_eq!((code, errors.as_str(), names(&frame)), (0, "", expected.to_vec()), "{arguments:?}: {frame}");
    }
    scene.while_dialling(|| {
        for arguments in [&["idle"][..], &["-l", "!app"]] {
            until("what is refused is shown, and no other Service's connections", || {
                let frame = top(&scene, arguments).1;
                assert!(frame.contains("per second: 0.0 connections"), "{frame}");
                cell(&frame, "REFUSED/S", &["reject", "no_backend"]) != "0.0"
            });
        }
        until("connections of the chosen Service are summed", || {
            !top(&scene, &["-l", "app=web"]).1.contains("per second: 0.0 connections")
        });
    });
    scene.waggle.kill().unwrap();
    assert_eq!(names(&top(&scene, &["web"]).1), ["web"], "names need no agent");
    let (code, frame, errors) = top(&scene, &["-l", "app=web"]);
    assert_eq!((code, frame.as_str()), (1, ""), "{errors}");
    for part in
        ["labels are not in the maps: ", "without -l, no agent is needed", "no agent answers at 127.0.0.1:10249"]
    {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn top_of_a_service_that_is_not_there_fails() {
    let scene = Setup::new("top-absent").backends(1).start();
    serve(&scene);
    for (arguments, name) in [
        (&["web", "db"][..], "db"),
        (&["web", "-n", "other"], "other/web"),
        (&["default/db", "-l", "app"], "default/db"),
    ] {
        let expected =
            format!("waggle: find Service {name}: it is not in force; `waggle get services` lists those that are\n");
        assert_eq!(top(&scene, arguments), (1, String::new(), expected), "{arguments:?}");
    }
}

#[test]
fn top_follows_labels_and_keeps_the_last_ones_without_the_agent() {
    let mut scene = Setup::new("top-labels").backends(1).start();
    serve_labelled(&scene);
    let mut session = Session::start(&scene, &["-l", "app=web"]);
    session.wait_for(&["default/web:tcp"]);
    assert!(!session.contents().contains("default/idle"), "{}", session.contents());
    scene.put(&idle().label("app", "web").build());
    session.wait_for(&["default/idle:tcp", "default/web:tcp"]);
    scene.waggle.kill().unwrap();
    session.wait_for(&["default/idle:tcp", "asking again: no agent answers at 127.0.0.1:10249"]);
    scene.put(&idle().build());
    scene.waggle.restart().unwrap();
    until("the Service that has lost its label is not shown, nor the note", || {
        let contents = session.contents();
        !contents.contains("default/idle") && !contents.contains("asking again")
    });
    session.wait_for(&["default/web:tcp"]);
    session.press("q");
    session.end();
}

#[test]
fn top_follows_keys_while_an_agent_that_hangs_is_asked_for_labels() {
    let mut scene = Setup::new("top-hangs").backends(1).start();
    serve_labelled(&scene);
    let mut session = Session::start(&scene, &["-l", "app=web"]);
    session.wait_for(&["default/web:tcp"]);
    scene.waggle.process().signal(Signal::SIGSTOP).unwrap();
    session.wait_for(&["default/web:tcp", "asking again: the agent at 127.0.0.1:10249 has not answered within"]);
    session.press("\t");
    session.wait_for(&["Refused packets and calls by reason"]);
    session.press("q");
    session.end();
    scene.waggle.process().signal(Signal::SIGCONT).unwrap();
}

#[test]
fn top_no_longer_shows_a_named_service_that_goes() {
    let scene = Setup::new("top-gone").backends(1).start();
    serve(&scene);
    let mut session = Session::start(&scene, &["web", "idle"]);
    session.wait_for(&["default/idle:tcp", "default/web:tcp"]);
    assert!(!session.contents().contains("default/shop"), "{}", session.contents());
    scene.delete("Service", "idle");
    until("the Service that is gone is not shown", || !session.contents().contains("default/idle"));
    scene.put(&idle().build());
    session.wait_for(&["default/idle:tcp", "default/web:tcp"]);
    session.press("q");
    session.end();
}
