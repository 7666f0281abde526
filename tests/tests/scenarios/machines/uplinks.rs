//! Nodes with a second uplink that only some pods use, by rules of policy routing (EKS with secondary interfaces). The
//! network accepts from each uplink only packets from that uplink's addresses, or from pods.

use std::{ffi::OsStr, fs, path::PathBuf, time::Duration};

use harness::{
    lab::{Dial, Pod, TIMEOUT, Transport, scratch},
    scene::{
        Family, Outside, Setup, WAIT_LIMIT, expect, expect_by, from_outside, from_outside_by, over_both, until,
        web_slice,
    },
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use proxy_common::filter::AddressClass;

use super::*;

const BULK: u64 = 10 << 20;

/// A second uplink of the node, with its own gateway.
fn join(outside: &Outside) {
    let (node, fabric) = (outside.scene.node.netns(), outside.scene.lab.fabric());
    ip(node, &[&format!("link add name eth1 type veth peer name to-a1 netns {}", fabric.name())]);
    ip(
        fabric,
        &["address add 198.51.100.254/24 dev to-a1", "address add fd00:51::fe/64 dev to-a1 nodad", "link set to-a1 up"],
    );
    let addresses = ["address add 198.51.100.1/24 dev eth1", "address add fd00:51::1/64 dev eth1 nodad"];
    ip(node, &[addresses[0], addresses[1], "link set eth1 up"]);
    outside.scene.lab.finish_wire((node, "eth1"), (fabric, "to-a1")).unwrap();
    ip(node, &["route add default via 198.51.100.254 table 2", "route add default via fd00:51::fe table 2"]);
    let forged = "iifname to-a1 ip saddr 192.168.50.0/24 drop; iifname to-a1 ip6 saddr fd00:50::/64 drop; \
                  iifname to-a1 ip saddr { 10.96.0.0/16, 203.0.113.0/24 } drop; \
                  iifname to-a1 ip6 saddr { fd00:96::/64, 2001:db8::/64 } drop;";
    let chain = format!("table inet t {{ chain p {{ type filter hook prerouting priority -300; {forged} }}\n}}\n");
    fabric.load_rules(&chain).unwrap();
    until("the second uplink is served", || device_row(&outside.scene.get("devices"), "eth1").is_some());
}

/// Adds the CNI's marks for connections to node ports, which bring the replies back to the first uplink.
fn mark_connections(outside: &Outside) {
    let rules = "iifname eth0 fib daddr type local ct mark set 0x80; ct mark 0x80 meta mark set 0x80;";
    let rules = format!("table inet cni {{ chain p {{ type filter hook prerouting priority mangle; {rules} }}\n}}\n");
    outside.scene.node.netns().load_rules(&rules).unwrap();
    for family in Family::BOTH {
        let rule = format!("ip -{} rule add fwmark 0x80/0x80 lookup main pref 1024", family.number());
        output(outside.scene.node.netns(), &rule);
    }
}

/// Makes the second uplink the way out of the pod.
fn lead_out(outside: &Outside, pod: &Pod) {
    for family in Family::BOTH {
        let rule = format!("ip -{} rule add from {} lookup 2 pref 1536", family.number(), family.of(pod));
        output(outside.scene.node.netns(), &rule);
    }
    until("the programs know of rules", || knows_of_rules(outside));
}

/// Whether the last entry of ADDRESS_FILTER has the bit for rules; the agent writes the entries in order.
fn knows_of_rules(outside: &Outside) -> bool {
    let pin = outside.scene.waggle.pins().join("address_filter");
    let lookup = format!("bpftool --json map lookup pinned {} key hex ff ff 00 00", pin.display());
    let entry: Value = serde_json::from_str(&output(outside.scene.node.netns(), &lookup)).unwrap();
    let class = entry["formatted"]["value"].as_u64().expect("a plain number");
    class & u64::from(AddressClass::RULES) != 0
}

/// Tests everything that a client outside may dial, served by a pod whose way out is another uplink than the client's.
fn serves_everything(outside: &Outside, family: Family) {
    let pod = outside.scene.pod(1);
    outside.serve(family, &outside.web(family), &[pod]);
    let answers = || {
        for to in outside.frontends(family) {
            expect(&outside.client, to, &["p1"]);
            let reply = outside.client.dial(&Dial::new(Transport::Tcp, to)).unwrap();
            assert_eq!(reply.seen_client().unwrap().ip(), outside.address(family), "{to}");
        }
    };
    let ((), astray) = outside.scene.node.capture("eth1", "port 80 or port 30080", answers).unwrap();
    assert!(astray.is_empty(), "{astray:#?}");
    // The pod is served together with a backend on the other node.
    outside.serve_by(family, &[pod, &outside.remote]);
    expect(&outside.client, outside.node_port(family), &["p1", "far"]);
    outside.serve_echo(family, pod);
    outside.client.bulk(outside.node_port(family), None, BULK).unwrap();
    // An error of the pod's is a reply, too: no socket listens at that port.
    outside.scene.put(&web_slice("web", family).build());
    expect_by(&outside.client, Transport::UdpConnected, outside.node_port(family), &["ECONNREFUSED"]);
    let closed = harness::objects::slice("web").address_type(&format!("IPv{}", family.number()));
    outside.scene.put(&closed.named_port("udp", "UDP", 9).pod(pod).build());
    expect_by(&outside.client, Transport::UdpConnected, outside.node_port(family), &["ECONNREFUSED"]);
    outside.scene.delete("Service", "web");
}

/// Checks that connections that the pod opens leave by its own uplink.
fn leads_its_own(outside: &Outside, family: Family) {
    let pod = outside.scene.pod(1);
    let ping = || assert!(pod.ping(outside.address(family), TIMEOUT).unwrap());
    let ((), seen) = outside.scene.node.capture("eth1", "icmp or icmp6", ping).unwrap();
    assert!(seen.iter().any(|line| line.contains("echo request")), "{seen:#?}");
}

#[test]
fn w10_answers_leave_by_the_frontends_uplink() {
    from_outside("uplinks", |outside| {
        join(outside);
        lead_out(outside, outside.scene.pod(1));
        over_both(|family| {
            serves_everything(outside, family);
            leads_its_own(outside, family);
        });
        mark_connections(outside);
        over_both(|family| {
            serves_everything(outside, family);
            leads_its_own(outside, family);
        });
    });
}

/// Clients are behind the first uplink. There a strict check drops their packets to a pod whose replies would leave by
/// another.
#[test]
fn w10_a_strict_reverse_path_is_loosened_where_clients_would_be_cut_off() {
    from_outside("strict", |outside| {
        let node = outside.scene.node.netns();
        let setting = || output(node, "sysctl -n net.ipv4.conf.eth0.rp_filter");
        join(outside);
        output(node, "sysctl -w net.ipv4.conf.eth0.rp_filter=1 net.ipv4.conf.eth1.rp_filter=1");
        let family = Family::Ipv4;
        outside.serve(family, &outside.web(family), &[outside.scene.pod(1), &outside.remote]);
        expect(&outside.client, outside.node_port(family), &["p1", "far"]);
        assert_eq!(setting().trim(), "1", "no replies leave by another uplink");
        lead_out(outside, outside.scene.pod(1));
        expect(&outside.client, outside.node_port(family), &["p1", "far"]);
        let is_warning = |line: &LogLine| is_about("eth0")(line) && line.message().contains("rp_filter to 2");
        outside.scene.waggle.wait_log(WAIT_LIMIT, is_warning).unwrap();
        assert_eq!(setting().trim(), "2");
        assert_eq!(output(node, "sysctl -n net.ipv4.conf.eth1.rp_filter").trim(), "1");
        outside.scene.delete("Service", "web");
    });
}

/// The node's settings where a container has them.
struct Settings(PathBuf);

impl Settings {
    fn mount(name: &str) -> Self {
        let mounted = Self(scratch(name));
        fs::create_dir_all(mounted.0.join("net")).unwrap();
        let nothing = None::<&str>;
        mount(Some("/proc/sys/net"), &mounted.0.join("net"), nothing, MsFlags::MS_BIND, nothing).unwrap();
        mounted
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        // What stays is found by the next lab.
        let _ = umount2(&self.0.join("net"), MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(self.0.join("net")).and_then(|()| fs::remove_dir(&self.0));
    }
}

#[test]
fn w10_a_container_loosens_the_strict_reverse_path_of_its_node() {
    let settings = Settings::mount("settings");
    let setup = Setup::new("contained").contained().args([OsStr::new("--proc-sys"), settings.0.as_os_str()]);
    from_outside_by("auto", setup, |outside| {
        let node = outside.scene.node.netns();
        join(outside);
        output(node, "sysctl -w net.ipv4.conf.eth0.rp_filter=1");
        let family = Family::Ipv4;
        outside.serve(family, &outside.web(family), &[outside.scene.pod(1)]);
        lead_out(outside, outside.scene.pod(1));
        expect(&outside.client, outside.node_port(family), &["p1"]);
        assert_eq!(output(node, "sysctl -n net.ipv4.conf.eth0.rp_filter").trim(), "2");
    });
}

/// As in an unprivileged container.
#[test]
fn w10_a_strict_reverse_path_that_can_not_be_loosened_is_said_with_a_remedy_that_works() {
    from_outside_by("auto", Setup::new("read-only").contained(), |outside| {
        let (node, waggle) = (outside.scene.node.netns(), &outside.scene.waggle);
        join(outside);
        output(node, "sysctl -w net.ipv4.conf.eth0.rp_filter=1");
        let family = Family::Ipv4;
        outside.serve(family, &outside.web(family), &[outside.scene.pod(1)]);
        expect(&outside.client, outside.node_port(family), &["p1"]);
        lead_out(outside, outside.scene.pod(1));
        let is_warning = |line: &LogLine| line.message().contains("rp_filter=2`");
        let line = waggle.wait_log(WAIT_LIMIT, is_warning).unwrap();
        assert_eq!(line.field("rules").unwrap(), "10.244.1.2/32");
        assert!(line.field("error").unwrap().as_str().unwrap().contains("Read-only"), "{}", line.text);
        let dial = Dial::new(Transport::Tcp, outside.node_port(family)).timeout(Duration::from_millis(300));
        assert_eq!(outside.client.dial(&dial).unwrap_err().errno, "ETIMEDOUT");
        // This change shows that the agent has looked again.
        output(node, "sysctl -w net.ipv6.conf.all.forwarding=0");
        waggle.wait_log(WAIT_LIMIT, |line| line.message().starts_with("net.ipv6.conf.all.forwarding is 0")).unwrap();
        output(node, line.message().split('`').nth(1).unwrap());
        expect(&outside.client, outside.node_port(family), &["p1"]);
        assert_eq!(waggle.log().since(0).iter().filter(|line| is_warning(line)).count(), 1);
    });
}
