//! Traffic that a service proxy leaves alone, and faults that it logs once: decisions about what kube-proxy's users expect.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{fs, net::SocketAddr, process::Command};

use harness::{
    lab::{Client, Kind, LogLine, Mode},
    objects::{Cluster as _, lab_node, service, service_cidr, slice},
    scene::{
        Family, Origin, Scene, Setup, WAIT_LIMIT, dual, expect, from_both_over_both, hold, over_both, web, web_slice,
    },
};
use serde_json::{Value, json};

/// A Service of this family with a backend in pod 1, at `frontend(10)`.
fn put_web(scene: &Scene, family: Family) {
    let name = family.name("web");
    scene.put(&web(&name, [family.cluster_ip(10)]).build());
    scene.put(&web_slice(&name, family).pod(scene.pod(1)).build());
    scene.expect(family.frontend(10), &["p1"]);
}

#[test]
fn field_s01_a_cluster_ip_that_the_node_has_is_answered_by_the_node() {
    from_both_over_both("s01-own", |scene, family| {
        put_web(scene, family);
        let (length, nodad) = if family == Family::Ipv4 { (32, "") } else { (128, " nodad") };
        let change = |verb: &str, more: &str| {
            let address = family.cluster_ip(10);
            scene.node.netns().batch(&[format!("address {verb} {address}/{length} dev lo{more}")]).unwrap();
        };
        // NodeLocal DNSCache does so on a device of its own.
        change("add", nodad);
        let _cache = scene.node.serve_at(&[family.frontend(10)], Mode::Identity).unwrap();
        scene.expect(family.frontend(10), &["a"]);
        expect(&scene.from_node, family.frontend(10), &["a"]);
        // Other addresses of the ServiceCIDR keep their meaning.
        scene.hold(family.frontend(99), &["EHOSTUNREACH"]);
        // When the cache's address is removed, the Service is served again.
        change("del", "");
        scene.expect(family.frontend(10), &["p1"]);
        hold(&scene.from_node, family.frontend(10), &["p1"]);
    });
}

/// A UDP connect to a port that is served for TCP alone shows the local address, and sends nothing.
fn connects_in_vain(client: &Client, family: Family, own: SocketAddr, to: SocketAddr) {
    let socket = client.open(if family == Family::Ipv4 { Kind::Udp4 } else { Kind::Udp6 }, None).unwrap();
    socket.connect(to).unwrap();
    let names = socket.names().unwrap();
    assert_eq!((names.local.ip(), names.peer), (own.ip(), Some(to)));
    // The refusal comes back as an ICMP error, as it does from kube-proxy's rules.
    assert_eq!(socket.ask("anybody?").unwrap_err().errno, "ECONNREFUSED");
    assert_eq!(socket.send_to(to, "anybody?").unwrap_err().errno, "ECONNREFUSED");
    // The socket can be used for a Service afterwards.
    socket.connect(family.frontend(10)).unwrap();
    assert!(socket.ask("you").unwrap().text.starts_with("p1 "), "the Service answers");
}

#[test]
fn field_s02_a_udp_connect_to_an_unserved_port_succeeds_and_sending_fails() {
    from_both_over_both("s02-udp", |scene, family| {
        put_web(scene, family);
        let unserved = SocketAddr::new(family.cluster_ip(10), 6379);
        let own = |address| SocketAddr::new(address, 0);
        connects_in_vain(&scene.from_pod, family, own(family.of(&scene.client)), unserved);
        connects_in_vain(&scene.from_node, family, own(family.of(&scene.node)), unserved);
        // TCP and unconnected datagrams are refused at once, and an address without a Service is unreachable.
        scene.hold(unserved, &["ECONNREFUSED"]);
        scene.hold(family.frontend(99), &["EHOSTUNREACH"]);
    });
}

#[test]
fn field_s03_a_service_cidr_over_nodes_and_pods_cuts_off_none_of_them() {
    let scene = Setup::new("s03-wide").origin(Origin::Api).backends(3).start();
    let mut node = lab_node(&scene.node).build();
    node["spec"] = json!({"podCIDRs": ["10.244.1.0/24", "fd00:10:244:1::/64"]});
    scene.put(&node);
    over_both(|family| {
        put_web(&scene, family);
        let wide = if family == Family::Ipv4 { ["10.0.0.0/8", "192.168.0.0/16"] } else { ["fd00::/16", "fc00::/8"] };
        let unused = if family == Family::Ipv4 { "10.200.0.1:80" } else { "[fd00:aaaa::1]:80" };
        scene.put(&service_cidr(&family.name("wide"), &wide));
        scene.expect(unused.parse::<SocketAddr>().unwrap(), &["EHOSTUNREACH"]);
        // The endpoint is reached directly and through its Service.
        let direct = SocketAddr::new(family.of(scene.pod(1)), 8080);
        hold(&scene.from_node, direct, &["p1"]);
        scene.hold(direct, &["p1"]);
        scene.hold(family.frontend(10), &["p1"]);
        // A pod reaches the node.
        let own = SocketAddr::new(family.of(&scene.node), 9999);
        let _server = scene.node.serve_at(&[own], Mode::Identity).unwrap();
        scene.hold(own, &["a"]);
        scene.waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("which keep their meaning")).unwrap();
    });
}

/// Network plugins with an address management of their own leave `podCIDRs` empty.
#[test]
fn field_s03_endpoints_are_not_cut_off_where_the_node_has_no_pod_cidrs() {
    let scene = Setup::new("s03-bare").origin(Origin::Api).backends(3).start();
    over_both(|family| {
        put_web(&scene, family);
        // Only the endpoint tells that the second pod's address is real.
        let second = family.of(scene.pod(2));
        scene.node.netns().batch(&[format!("route replace {second} via {second} dev pod-p2 onlink")]).unwrap();
        let (wide, unused) = if family == Family::Ipv4 {
            ("10.0.0.0/8", "10.244.1.200:80")
        } else {
            ("fd00::/16", "[fd00:10:244:1::c8]:80")
        };
        scene.put(&service_cidr(&family.name("wide"), &[wide]));
        scene.expect(unused.parse::<SocketAddr>().unwrap(), &["EHOSTUNREACH"]);
        let direct = |number| SocketAddr::new(family.of(scene.pod(number)), 8080);
        let reach = |ways: [&str; 2]| {
            for (number, way) in (1..).zip(ways) {
                expect(&scene.from_pod, direct(number), &[way]);
                expect(&scene.from_node, direct(number), &[way]);
            }
            hold(&scene.from_node, family.frontend(10), &["p1"]);
            scene.hold(family.frontend(10), &["p1"]);
        };
        reach(["p1", "EHOSTUNREACH"]);
        // An address that gets no traffic yet is an endpoint, too.
        let slice = web_slice(&family.name("web"), family).name(&family.name("starting"));
        scene.put(&slice.pod(scene.pod(2)).ready(false).serving(false).build());
        reach(["p1", "p2"]);
        scene.delete("EndpointSlice", &family.name("starting"));
        reach(["p1", "EHOSTUNREACH"]);
        scene.delete("ServiceCIDR", &family.name("wide"));
    });
}

/// Plugins without a bridge make a route for each pod.
#[test]
fn field_s03_pods_here_that_are_no_endpoints_are_asked_and_answered() {
    let scene = Setup::new("s03-pods").origin(Origin::Api).backends(3).start();
    over_both(|family| {
        put_web(&scene, family);
        let (wide, unused, later, length) = if family == Family::Ipv4 {
            ("10.0.0.0/8", "10.244.1.200:80", "10.244.1.99", 32)
        } else {
            ("fd00::/16", "[fd00:10:244:1::c8]:80", "fd00:10:244:1::99", 128)
        };
        scene.put(&service_cidr(&family.name("wide"), &[wide]));
        scene.expect(unused.parse::<SocketAddr>().unwrap(), &["EHOSTUNREACH"]);
        // The client's own pod is no endpoint: a server's datagrams must come back to it.
        scene.hold(SocketAddr::new(family.of(scene.pod(1)), 8080), &["p1"]);
        scene.hold(SocketAddr::new(family.of(scene.pod(2)), 8080), &["p2"]);
        scene.hold(family.frontend(10), &["p1"]);
        // A route that is added later, and removed.
        let later = SocketAddr::new(later.parse().unwrap(), 8080);
        scene.hold(later, &["EHOSTUNREACH"]);
        let pod = scene.pod(2).netns();
        let nodad = if length == 128 { " nodad" } else { "" };
        pod.batch(&[format!("address add {}/{length} dev eth0{nodad}", later.ip())]).unwrap();
        let server = scene.pod(2).serve_at(&[later], Mode::Identity).unwrap();
        scene.node.netns().batch(&[format!("route add {}/{length} dev pod-p2", later.ip())]).unwrap();
        scene.expect(later, &["p2"]);
        scene.node.netns().batch(&[format!("route del {}/{length} dev pod-p2", later.ip())]).unwrap();
        scene.expect(later, &["EHOSTUNREACH"]);
        drop(server);
        scene.delete("ServiceCIDR", &family.name("wide"));
    });
}

/// A route to a pod by a nexthop object, on a kernel that reports only the object's number with the route.
#[test]
fn field_s03_pods_here_are_found_behind_nexthop_objects() {
    let scene = Setup::new("s03-nexthop").origin(Origin::Api).backends(3).start();
    let keep_short = || fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0");
    scene.node.netns().inside(keep_short).unwrap().unwrap();
    over_both(|family| {
        put_web(&scene, family);
        let (wide, pod, length, option) = if family == Family::Ipv4 {
            ("10.0.0.0/8", "10.244.1.99:8080", 32, "")
        } else {
            ("fd00::/16", "[fd00:10:244:1::99]:8080", 128, "-6 ")
        };
        let pod: SocketAddr = pod.parse().unwrap();
        scene.put(&service_cidr(&family.name("wide"), &[wide]));
        scene.expect(pod, &["EHOSTUNREACH"]);
        let nodad = if length == 128 { " nodad" } else { "" };
        scene.pod(2).netns().batch(&[format!("address add {}/{length} dev eth0{nodad}", pod.ip())]).unwrap();
        let _server = scene.pod(2).serve_at(&[pod], Mode::Identity).unwrap();
        let ip = |command: String| {
            let line = format!("{option}{command}");
            let run = || Command::new("ip").args(line.split_whitespace()).status().unwrap();
            assert!(scene.node.netns().inside(run).unwrap().success(), "ip {line}");
        };
        ip(format!("nexthop add id {length} dev pod-p2"));
        ip(format!("route add {}/{length} nhid {length}", pod.ip()));
        scene.expect(pod, &["p2"]);
        // The kernel removes the route with the object, without a message.
        ip(format!("nexthop del id {length}"));
        scene.expect(pod, &["EHOSTUNREACH"]);
        scene.delete("ServiceCIDR", &family.name("wide"));
    });
}

#[test]
fn field_s04_a_name_without_a_node_object_is_said_once() {
    let scene = Setup::new("s04-name").build();
    scene.objects.delete("Node", "", "a");
    scene.put(&dual("web", 10).port(80, 8080).build());
    scene.put(&slice("web").port(8080).endpoint("10.244.9.9").node("there").build());
    let waggle = scene.agent(&[]);
    let is_said = |line: &LogLine| line.message().contains("no Node object named a, and no endpoint is on this node");
    waggle.wait_log(WAIT_LIMIT, is_said).unwrap();
    waggle.settle(|| scene.put(&dual("web", 10).port(81, 8080).build())).unwrap();
    assert_eq!(waggle.log().since(0).iter().filter(|line| is_said(line)).count(), 1);
}

#[test]
fn field_s08_a_cgroup_that_is_not_the_root_is_said() {
    let scene = Setup::new("s08-part").build();
    // A lab's cgroup is a part of the machine's hierarchy.
    let line = scene
        .agent(&[])
        .wait_log(WAIT_LIMIT, |line| line.message().contains("only processes in this cgroup are served"))
        .unwrap();
    assert_eq!(line.field("cgroup").unwrap(), scene.node.cgroup().to_str().unwrap());
    assert!(line.text.contains("WARN"), "{}", line.text);
}

/// Services with a bad address each, in the field `field`.
fn bad_services(numbers: std::ops::Range<u16>, field: &str) -> impl Iterator<Item = Value> {
    let text = move |number: u16| match field {
        "clusterIPs" => json!(["10.96.0.300"]),
        "externalIPs" => json!([format!("203.0.113.{number}.1")]),
        // A Service whose spec is not even readable.
        _ => json!(number),
    };
    numbers.map(move |number| {
        let own = format!("10.96.{}.{}", 1 + number / 200, 1 + number % 200);
        let mut object = service(&format!("bad-{number}")).cluster_ip(&own).port(80, 8080).build();
        object["spec"][field] = text(number);
        object
    })
}

#[test]
fn field_s07_masses_of_bad_objects_are_few_lines() {
    const MASS: u16 = 300;
    for (origin, words) in [(Origin::Api, "skipped in many objects"), (Origin::Folder, "many files or objects refused")]
    {
        println!("{origin:?}");
        let setup =
            bad_services(0..MASS, "externalIPs").fold(Setup::new("s07-mass").origin(origin).backends(3), Setup::object);
        let scene = bad_services(MASS..2 * MASS, "ports").fold(setup, Setup::object).start();
        let lines = |words: &str| -> Vec<LogLine> {
            let lines = scene.waggle.log().since(0);
            lines.into_iter().filter(|line| line.text.contains("WARN") && line.text.contains(words)).collect()
        };
        let line = scene.waggle.wait_log(WAIT_LIMIT, |line| line.message() == words).unwrap();
        let examples = line.field("examples").unwrap().as_str().unwrap();
        assert_eq!(examples.matches("Service default/bad-").count(), 3, "{}", line.text);
        let unreadable = if origin == Origin::Api { "skipped objects that can't be read" } else { words };
        scene.waggle.wait_log(WAIT_LIMIT, |line| line.message() == unreadable).unwrap();
        let counts = lines("examples").iter().map(|line| line.field("count").unwrap().as_u64().unwrap()).sum::<u64>();
        assert_eq!(counts, 2 * u64::from(MASS));
        // Corrected one by one, they add no more lines.
        bad_services(0..40, "clusterIPs").for_each(|object| scene.put(&object));
        put_web(&scene, Family::Ipv4);
        assert!(lines("10.96.0.300").len() <= 10 && lines("bad-").len() <= 15, "{:#?}", lines("bad-"));
    }
}

#[test]
fn field_s07_many_services_without_room_are_one_line() {
    let scene = Setup::new("s07-room").build();
    (0..200_u16).for_each(|number| {
        let base = service(&format!("web-{number}"));
        scene.put(&base.cluster_ip(&format!("10.96.1.{number}")).port(80, 8080).build());
    });
    let waggle = scene.agent(&["--max-service-ports", "100"]);
    let errors = || waggle.log().since(0).iter().filter(|line| line.text.contains("ERROR")).count();
    let line = waggle.wait_log(WAIT_LIMIT, |line| line.message().contains("degraded")).unwrap();
    assert_eq!(line.field("parts").unwrap(), 101, "number 0 names nothing: {}", line.text);
    assert!(line.text.contains("start waggle with a larger --max-service-ports"), "{}", line.text);
    // After two more tries there is still only one line.
    for _ in 0..2 {
        waggle.wait_programmed(waggle.log().mark()).unwrap();
    }
    assert_eq!(errors(), 1);
}
