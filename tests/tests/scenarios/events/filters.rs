//! What `waggle monitor` is asked for is chosen in the kernel.

use std::net::SocketAddr;

use harness::{
    lab::{Dial, Transport},
    scene::{BOUND_PORT, Family, Scene, Setup},
};

use super::{Monitor, sockets::serve, summary};

/// Calls of all types: to `web` over TCP and UDP, to `shop`, which refuses, and to an address of no Service.
fn call(scene: &Scene) {
    let [web, shop, unowned] = [10, 11, 99].map(|number| Family::Ipv4.frontend(number));
    scene.from_pod.tcp(web).unwrap();
    scene.from_pod.udp(web).unwrap();
    scene.from_pod.tcp(shop).unwrap_err();
    scene.from_pod.tcp(unowned).unwrap_err();
}

const WEB_TCP: &str = "new web TCP -";
const WEB_UDP: &str = "new web UDP -";
const WEB_END: &str = "end web TCP -";
const SHOP: &str = "reject shop TCP no_backend";
const UNOWNED: &str = "drop - TCP unowned_address";

#[test]
fn each_flag_chooses_events() {
    let scene = Setup::new("mon-flags").backends(1).start();
    serve(&scene, Family::Ipv4, &[1]);
    for (arguments, expected) in [
        ("", &[WEB_TCP, WEB_END, WEB_UDP, SHOP, UNOWNED][..]),
        ("--type new", &[WEB_TCP, WEB_UDP]),
        ("--type end,drop", &[WEB_END, UNOWNED]),
        ("--type reselect", &[]),
        ("--protocol udp", &[WEB_UDP]),
        ("--port 80", &[WEB_TCP, WEB_END, WEB_UDP, SHOP, UNOWNED]),
        ("--port 81", &[]),
        ("--reason no_backend", &[SHOP]),
        ("--reason unowned_address,no_backend --type drop", &[UNOWNED]),
        ("svc/web", &[WEB_TCP, WEB_END, WEB_UDP]),
        ("shop web --type new,reject", &[WEB_TCP, WEB_UDP, SHOP]),
        ("default/shop", &[SHOP]),
        ("-n default --protocol tcp", &[WEB_TCP, WEB_END, SHOP]),
        ("-n other", &[]),
        ("-A --type drop", &[UNOWNED]),
        ("--client 192.0.2.0/24", &[]),
        ("--sample 1 --type reject", &[SHOP]),
    ] {
        let monitor = Monitor::start(&scene, &format!("{arguments} -o json"));
        call(&scene);
        assert_eq!(monitor.stop().iter().map(summary).collect::<Vec<_>>(), expected, "{arguments}");
    }
}

#[test]
fn a_bound_socket_is_chosen_by_its_address() {
    let scene = Setup::new("mon-bound").backends(1).start();
    serve(&scene, Family::Ipv4, &[1]);
    let client = Family::Ipv4.of(&scene.client);
    for (prefix, is_shown) in [(client.to_string(), true), ("192.0.2.0/24".to_owned(), false)] {
        let monitor = Monitor::start(&scene, &format!("--type new --client {prefix} -o json"));
        let bound = Dial::new(Transport::Tcp, Family::Ipv4.frontend(10)).bind(SocketAddr::new(client, BOUND_PORT));
        scene.from_pod.dial(&bound).unwrap();
        scene.from_pod.tcp(Family::Ipv4.frontend(10)).unwrap();
        let clients: Vec<_> = monitor.stop().iter().map(|event| event["client"].as_str().map(str::to_owned)).collect();
        let expected = if is_shown { vec![Some(client.to_string())] } else { vec![] };
        assert_eq!(clients, expected);
    }
}

#[test]
fn what_is_not_there_is_an_error() {
    let scene = Setup::new("mon-absent").backends(1).start();
    serve(&scene, Family::Ipv4, &[1]);
    for (arguments, message) in [
        (&["monitor", "web", "db"][..], "find Service db: it is not in force"),
        (&["monitor", "web", "-n", "other"], "find Service other/web"),
        (&["monitor", "--reason", "map_full"], "the reasons are no_backend"),
    ] {
        let (success, text) = scene.cli(arguments);
        assert!(!success && text.contains(message), "{arguments:?}: {text}");
        assert!(!super::is_on(&scene));
    }
    let absent = Setup::new("mon-none").build();
    let (success, text) = absent.cli(&["monitor"]);
    assert!(!success && text.contains("find instance"), "{text}");
}
