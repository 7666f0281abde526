//! The page that the agent serves (`--page`), in a real browser and by requests. What needs the browser is skipped without it.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod access;
mod browser;
mod requests;
mod views;

use self::browser::Browser;
use harness::{
    lab::eventually,
    objects::service,
    scene::{Family, Scene, Setup, WAIT_LIMIT, expect, web_node_port, web_slice},
};

const PAGE: &str = "http://localhost:10247/";
/// The window of a desktop, and of a phone.
const DESKTOP: (u32, u32) = (1280, 1000);
const PHONE: (u32, u32) = (360, 740);

/// A node whose agent serves the page: `default/web` by pods 1 and 2, also at a node port; `shop/cart` without backends.
fn scene(name: &str) -> Scene {
    let scene = Setup::new(name).backends(2).args(["--page", "--device-mode", "tc"]).start();
    scene.put(&web_node_port("web", [Family::Ipv4.cluster_ip(10)], 30080).build());
    scene.put(&web_slice("web", Family::Ipv4).pod(scene.pod(1)).pod(scene.pod(2)).build());
    scene.put(&service("cart").namespace("shop").cluster_ip("10.96.0.11").port(80, 80).build());
    expect(&scene.from_pod, Family::Ipv4.frontend(10), &["p1", "p2"]);
    expect(&scene.from_pod, Family::Ipv4.frontend(11), &["ECONNREFUSED"]);
    scene
}

/// Checks that the page has asked for nothing elsewhere, and that the browser had nothing to complain about.
#[track_caller]
fn check_quiet(browser: &Browser<'_>) {
    let asked = browser.requests();
    assert!(!asked.is_empty(), "the browser says what it asks for");
    // Before the page, a browser shows a page of its own.
    let allowed = [PAGE, "data:", "chrome://"];
    let elsewhere: Vec<_> = asked.iter().filter(|url| !allowed.iter().any(|start| url.starts_with(start))).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert_eq!(browser.console(), [""; 0]);
}

/// Waits until a list of texts is this one.
#[track_caller]
fn until_texts(browser: &Browser<'_>, selector: &str, wanted: &[&str]) {
    let is_there = eventually(WAIT_LIMIT, || browser.texts(selector) == wanted);
    assert!(is_there, "{selector}: {:?} instead of {wanted:?}", browser.texts(selector));
}
