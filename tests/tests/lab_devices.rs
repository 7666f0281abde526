//! Programs on devices: which get them, how, and how long. Real agents and devices. Needs root.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{collections::BTreeMap, process::Command};

use harness::{
    lab::{LogLine, Waggle},
    stage::{PATIENCE, Stage, restart, until},
};
use serde_json::{Value, json};

/// Devices and how they are served.
type Modes<'a> = &'a [(&'a str, &'a str)];

/// Devices by name, as `waggle get devices` has them.
type Rows = BTreeMap<String, Value>;

fn rows(stage: &Stage) -> Rows {
    let rows = stage.get("devices");
    rows.as_array().unwrap().iter().map(|row| (text(&row["device"]), row.clone())).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn modes(stage: &Stage) -> BTreeMap<String, String> {
    rows(stage).into_iter().map(|(name, row)| (name, text(&row["mode"]))).collect()
}

/// Waits until exactly these devices are served in these modes.
fn expect(stage: &Stage, wanted: Modes) {
    let wanted: BTreeMap<_, _> = wanted.iter().map(|(name, mode)| ((*name).to_owned(), (*mode).to_owned())).collect();
    until(&format!("{wanted:?}, but {:?}", modes(stage)), || modes(stage) == wanted);
}

/// A program's id and its link's, by hook.
fn programs(row: &Value) -> BTreeMap<String, (Value, Value)> {
    let programs = row["programs"].as_array().unwrap().iter();
    programs.map(|cell| (text(&cell["hook"]), (cell["program"].clone(), cell["link"].clone()))).collect()
}

fn flags(stage: &Stage) -> BTreeMap<u64, u64> {
    let entries = stage.dump("devices").into_iter().map(|entry| entry["formatted"].clone());
    entries.map(|entry| (entry["key"].as_u64().unwrap(), entry["value"]["flags"].as_u64().unwrap())).collect()
}

/// Runs `ip` commands on the node.
fn ip(stage: &Stage, commands: &[&str]) {
    let commands: Vec<String> = commands.iter().map(|command| (*command).to_owned()).collect();
    stage.node.netns().batch(&commands).unwrap();
}

/// The output of a command on the node.
fn output(stage: &Stage, command: &str) -> String {
    let mut words = command.split_whitespace();
    let run = || Command::new(words.next().unwrap()).args(words).output().unwrap();
    let output = stage.node.netns().inside(run).unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the kernel says is on the node's devices.
fn attached(stage: &Stage) -> Value {
    serde_json::from_str::<Value>(&output(stage, "bpftool --json net")).unwrap()[0].clone()
}

fn is_about(device: &str) -> impl Fn(&LogLine) -> bool {
    move |line| line.field("device").is_some_and(|name| name == device)
}

/// Starts an agent with other arguments on the instance, in the place of one that was killed.
fn other(stage: &Stage, arguments: &[&str]) -> Waggle {
    let waggle = stage.command(arguments).start_unready().unwrap();
    waggle.wait_log(PATIENCE, |line| line.message() == "serving").unwrap();
    waggle
}

#[test]
fn auto_serves_the_nodes_device_by_native_xdp_and_leaves_pods_alone() {
    let stage = Stage::new("dev-auto");
    let _pods = stage.pods(["p1", "p2"]);
    let _waggle = stage.agent(&[]);
    let rows = rows(&stage);
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["eth0"], "no loopback, no host end of a pod");
    let row = &rows["eth0"];
    assert_eq!((&row["mode"], &row["fellBack"], &row["pod"]), (&json!("xdp"), &json!(false), &json!(false)));
    let programs = programs(row);
    assert_eq!(programs.keys().collect::<Vec<_>>(), ["tcx_egress", "tcx_ingress", "xdp"]);
    let attached = attached(&stage);
    assert_eq!(attached["xdp"].as_array().unwrap().len(), 1, "{attached}");
    assert_eq!((&attached["xdp"][0]["mode"], &attached["xdp"][0]["id"]), (&json!("driver"), &programs["xdp"].0));
    assert_eq!(flags(&stage), BTreeMap::from([(row["index"].as_u64().unwrap(), 1)]), "others may redirect to it");
}

#[test]
fn native_xdp_works_with_jumbo_frames() {
    let stage = Stage::new("dev-jumbo");
    stage.lab.fabric().batch(&["link set to-a mtu 9000".into()]).unwrap();
    ip(&stage, &["link set eth0 mtu 9000"]);
    let _waggle = stage.agent(&["--device-mode", "xdp"]);
    expect(&stage, &[("eth0", "xdp")]);
}

#[test]
fn devices_and_addresses_that_come_later_are_followed() {
    let stage = Stage::new("dev-later");
    let _waggle = stage.agent(&[]);
    ip(&stage, &["link add late type veth peer name later", "link set late up", "link set later up"]);
    ip(&stage, &["link add other type veth peer name another", "address add 198.51.100.1/24 dev other"]);
    // The agent has seen the first pair, too, when it serves the second.
    expect(&stage, &[("eth0", "xdp"), ("other", "xdp")]);
    ip(&stage, &["address add fd00:77::1/64 dev late nodad"]);
    expect(&stage, &[("eth0", "xdp"), ("late", "xdp"), ("other", "xdp")]);
    ip(&stage, &["route add default dev later metric 5000"]);
    expect(&stage, &[("eth0", "xdp"), ("late", "xdp"), ("later", "xdp"), ("other", "xdp")]);
    ip(&stage, &["address del 198.51.100.1/24 dev other", "link del late"]);
    expect(&stage, &[("eth0", "xdp"), ("other", "xdp")]);
    assert_eq!(flags(&stage).len(), 2);
}

#[test]
fn a_device_made_anew_with_its_old_index_is_served_again() {
    let add = "link add anew index 77 address 02:00:00:00:00:77 type veth peer name wena";
    let address = "address add 198.51.100.1/24 dev anew";
    for (flags, count) in [(["--tc-attach", "auto"], 3), (["--device-mode", "tc"], 2)] {
        let stage = Stage::new("dev-anew");
        let _waggle = stage.agent(&flags);
        ip(&stage, &[add, address]);
        until("links", || rows(&stage).contains_key("anew"));
        let links = || programs(&rows(&stage)["anew"]).into_values().map(|(_, link)| link).collect::<Vec<_>>();
        let before = links();
        ip(&stage, &["link del anew", add, address]);
        until("new links", || {
            let is_served = rows(&stage).contains_key("anew");
            is_served && links().len() == count && links().iter().all(|link| !before.contains(link))
        });
    }
    let stage = Stage::new("dev-anew");
    let _waggle = stage.agent(&["--device-mode", "tc", "--tc-attach", "clsact"]);
    ip(&stage, &[add, address]);
    let has_filters = || attached(&stage)["tc"].as_array().unwrap().len() == 4;
    until("filters on both devices", has_filters);
    ip(&stage, &["link del anew", add, address]);
    until("filters on the new device, too", has_filters);
}

#[test]
fn devices_without_native_xdp_fall_back_to_tc_and_say_so_once() {
    let stage = Stage::new("dev-tc");
    ip(&stage, &["link add br1 type bridge", "address add 198.51.100.1/24 dev br1", "link set br1 up"]);
    let waggle = stage.agent(&[]);
    expect(&stage, &[("br1", "tc"), ("eth0", "xdp")]);
    let row = &rows(&stage)["br1"];
    assert_eq!((&row["fellBack"], row["programs"].as_array().unwrap().len()), (&json!(true), 2));
    assert_eq!(flags(&stage)[&row["index"].as_u64().unwrap()], 4, "nobody may redirect to it by XDP");
    ip(&stage, &["link add vx1 type vxlan id 5 dstport 4789 dev eth0", "address add 198.51.101.1/24 dev vx1"]);
    // A change of the bridge is a reason to try again, and none to say it again.
    ip(&stage, &["link set br1 mtu 1400", "link add end type veth", "address add 198.51.102.1/24 dev end"]);
    expect(&stage, &[("br1", "tc"), ("end", "xdp"), ("eth0", "xdp"), ("vx1", "tc")]);
    for device in ["br1", "vx1"] {
        let about: Vec<_> = waggle.log().since(0).into_iter().filter(is_about(device)).collect();
        assert_eq!(about.len(), 1, "{about:?}");
        let reason = about[0].field("reason").unwrap().as_str().unwrap();
        assert!(about[0].message().contains("native XDP is refused"), "{about:?}");
        assert!(reason.contains(&format!("attach xdp to device {device}: Operation not supported")), "{reason}");
    }
}

#[test]
fn another_xdp_program_is_named_and_left_alone() {
    let stage = Stage::new("dev-busy");
    let waggle = stage.agent(&[]);
    let id = programs(&rows(&stage)["eth0"])["xdp"].0.clone();
    ip(&stage, &["link add busy type veth peer name ysub"]);
    output(&stage, &format!("bpftool net attach xdp id {id} dev busy"));
    ip(&stage, &["address add 198.51.100.1/24 dev busy"]);
    expect(&stage, &[("busy", "tc"), ("eth0", "xdp")]);
    let line = waggle.wait_log(PATIENCE, is_about("busy")).unwrap();
    let reason = line.field("reason").unwrap().as_str().unwrap();
    assert!(reason.contains(&format!("XDP program {id} (xdp) is there")), "{reason}");
    assert!(reason.contains("ip link set dev busy xdp off"), "{reason}");
    ip(&stage, &["link set dev busy xdp off", "link set dev busy mtu 1400"]);
    expect(&stage, &[("busy", "xdp"), ("eth0", "xdp")]);
}

#[test]
fn an_explicit_mode_that_is_refused_serves_nothing_instead() {
    let stage = Stage::new("dev-strict");
    ip(&stage, &["link add br1 type bridge", "address add 198.51.100.1/24 dev br1"]);
    let waggle = stage.agent(&["--device-mode", "xdp"]);
    expect(&stage, &[("eth0", "xdp")]);
    let line = waggle.wait_log(PATIENCE, is_about("br1")).unwrap();
    assert!(line.message().contains("not served") && line.field("level").is_some_and(|level| level == "ERROR"));
}

#[test]
fn s31_a_restart_replaces_programs_on_the_links_that_are_there() {
    for (attach, hooks) in [("tcx", ["tcx_egress", "tcx_ingress"]), ("clsact", ["clsact_egress", "clsact_ingress"])] {
        let stage = Stage::new("dev-again");
        let mut waggle = stage.agent(&["--tc-attach", attach]);
        let before = programs(&rows(&stage)["eth0"]);
        waggle.kill().unwrap();
        assert_eq!(programs(&rows(&stage)["eth0"]), before, "the data plane stays");
        restart(&mut waggle);
        let after = programs(&rows(&stage)["eth0"]);
        assert_eq!(after.keys().collect::<Vec<_>>(), [hooks[0], hooks[1], "xdp"]);
        for (hook, (program, link)) in &after {
            assert_ne!(*program, before[hook].0, "{hook} has the new program");
            assert_eq!(*link, before[hook].1, "{hook} was never without one");
        }
        let tc = attached(&stage)["tc"].as_array().unwrap().clone();
        let wanted = if attach == "tcx" { 0 } else { 2 };
        assert_eq!(tc.len(), wanted, "this bpftool shows filters only: {tc:?}");
        assert!(tc.iter().all(|filter| after.values().any(|(program, _)| filter["id"] == *program)), "{tc:?}");
    }
}

#[test]
fn s31_a_restart_with_other_flags_leaves_nothing_of_the_old_ones() {
    let stage = Stage::new("dev-flags");
    ip(&stage, &["link add extra type veth peer name artxe", "address add 198.51.100.1/24 dev extra"]);
    let mut agents = vec![stage.agent(&[])];
    expect(&stage, &[("eth0", "xdp"), ("extra", "xdp")]);
    let steps: [(&[&str], Modes); 6] = [
        (&["--devices", "eth0"], &[("eth0", "xdp")]),
        (&["--devices", "e*", "--device-mode", "xdp-generic"], &[("eth0", "xdp-generic"), ("extra", "xdp-generic")]),
        (&["--device-mode", "xdp"], &[("eth0", "xdp"), ("extra", "xdp")]),
        (&["--device-mode", "tc", "--tc-attach", "clsact"], &[("eth0", "tc"), ("extra", "tc")]),
        (&["--device-mode", "tc"], &[("eth0", "tc"), ("extra", "tc")]),
        (&["--device-mode", "off"], &[]),
    ];
    for (flags, wanted) in steps {
        agents.last_mut().unwrap().kill().unwrap();
        agents.push(other(&stage, flags));
        expect(&stage, wanted);
        let attached = attached(&stage);
        let xdp = wanted.iter().filter(|(_, mode)| *mode != "tc").count();
        assert_eq!(attached["xdp"].as_array().unwrap().len(), xdp, "{flags:?}: {attached}");
        let filters = if flags.contains(&"clsact") { 4 } else { 0 };
        assert_eq!(attached["tc"].as_array().unwrap().len(), filters, "{flags:?}: {attached}");
    }
    assert!(flags(&stage).is_empty());
}

#[test]
fn a_named_device_is_waited_for_and_others_are_skipped() {
    let stage = Stage::new("dev-named");
    let waggle = stage.agent(&["--devices", "eth0,soon,lo"]);
    expect(&stage, &[("eth0", "xdp")]);
    assert!(waggle.wait_log(PATIENCE, is_about("soon")).unwrap().message().contains("not there"));
    assert!(waggle.wait_log(PATIENCE, is_about("lo")).unwrap().message().contains("no Ethernet frames"));
    ip(&stage, &["link add soon type veth peer name noos"]);
    expect(&stage, &[("eth0", "xdp"), ("soon", "xdp")]);
    let said = waggle.log().since(0).into_iter().filter(|line| line.message().contains("not there")).count();
    assert_eq!(said, 1);
}

#[test]
fn s17_pod_interfaces_get_tc_and_are_marked() {
    let stage = Stage::new("dev-pods");
    let _pods = stage.pods(["vm1", "ct1"]);
    let _waggle = stage.agent(&["--pod-interfaces", "pod-vm*"]);
    expect(&stage, &[("eth0", "xdp"), ("pod-vm1", "tc")]);
    let _later = stage.pods(["vm2"]);
    expect(&stage, &[("eth0", "xdp"), ("pod-vm1", "tc"), ("pod-vm2", "tc")]);
    let rows = rows(&stage);
    for device in ["pod-vm1", "pod-vm2"] {
        assert_eq!((&rows[device]["pod"], &rows[device]["fellBack"]), (&json!(true), &json!(false)));
        assert_eq!(flags(&stage)[&rows[device]["index"].as_u64().unwrap()], 2);
    }
}

/// Adds a filter of somebody else's on `shared`'s egress: the same program, since this machine has no other kind.
fn add_foreign_filter(stage: &Stage, waggle: &Waggle) {
    let rows = rows(stage);
    let programs = rows["shared"]["programs"].as_array().unwrap();
    let egress = programs.iter().find(|cell| text(&cell["hook"]).ends_with("egress")).unwrap();
    let pin = waggle.pins().join("foreign");
    output(stage, &format!("bpftool prog pin id {} {}", egress["program"], pin.display()));
    output(stage, &format!("tc filter add dev shared egress prio 9 bpf da pinned {}", pin.display()));
    std::fs::remove_file(pin).unwrap();
}

#[test]
fn s31_cleanup_leaves_nothing_on_devices_but_what_is_others() {
    for attach in ["tcx", "clsact"] {
        let stage = Stage::new("dev-clean");
        ip(&stage, &["link add shared type veth peer name derahs", "address add 198.51.100.1/24 dev shared"]);
        output(&stage, "tc qdisc add dev shared clsact");
        let mut waggle = stage.agent(&["--tc-attach", attach]);
        expect(&stage, &[("eth0", "xdp"), ("shared", "xdp")]);
        add_foreign_filter(&stage, &waggle);
        waggle.stop().unwrap();
        let program = harness::lab::find_program("waggle", "WAGGLE_BIN").unwrap();
        let cleanup = format!("{} cleanup --instance {}", program.display(), stage.node.instance());
        assert!(output(&stage, &cleanup).contains("removed 14 hooks"));
        let is_foreign = |filter: &Value| filter["devname"] == "shared" && filter["kind"] == "clsact/egress";
        until("nothing but somebody else's filter is attached", || {
            let attached = attached(&stage);
            let filters = attached["tc"].as_array().unwrap();
            attached["xdp"].as_array().unwrap().is_empty() && filters.len() == 1 && is_foreign(&filters[0])
        });
        assert!(!output(&stage, "tc qdisc show dev eth0").contains("clsact"));
    }
}

#[test]
fn the_source_of_forwarded_packets_follows_the_node() {
    let stage = Stage::new("dev-own");
    let _waggle = stage.agent(&[]);
    let is = |wanted: [&str; 2]| {
        let bytes = |text: &str| match text.parse().unwrap() {
            std::net::IpAddr::V4(v4) => json!({"bytes": v4.to_ipv6_mapped().octets()}),
            std::net::IpAddr::V6(v6) => json!({"bytes": v6.octets()}),
        };
        let found: Vec<_> =
            stage.dump("node_addresses").iter().map(|entry| entry["formatted"]["value"].clone()).collect();
        found == wanted.map(bytes)
    };
    until("the Node object's", || is(["192.168.50.1", "fd00:50::1"]));
    ip(&stage, &["address add 192.168.50.77/23 dev eth0", "address del 192.168.50.1/24 dev eth0"]);
    until("the kernel's", || is(["192.168.50.77", "fd00:50::1"]));
    ip(&stage, &["address add 192.168.50.1/24 dev eth0", "address del fd00:50::1/64 dev eth0"]);
    until("the Node object's again, and none", || is(["192.168.50.1", "::"]));
}

#[test]
fn forwarding_that_is_off_is_told() {
    let stage = Stage::new("dev-fwd");
    output(&stage, "sysctl -w net.ipv4.ip_forward=0");
    let waggle = stage.agent(&[]);
    let told =
        |name: &str| waggle.log().since(0).iter().any(|line| line.message().contains(&format!("sysctl -w {name}=1")));
    assert!(told("net.ipv4.ip_forward"));
    assert!(!told("net.ipv6.conf.all.forwarding"));
}
