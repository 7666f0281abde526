//! Settings of the host that keep packets from outside from reaching backends on this node.

use std::{collections::BTreeSet, process::Command, time::Duration};

use harness::{
    lab::{Dial, Pod, Transport},
    scene::{Family, WAIT_LIMIT, expect, from_outside_by, over_both, until},
};

use super::*;

const CHAINS: &str = "
table ip docker {
  chain FORWARD { type filter hook forward priority 0; policy drop; }
}
table ip6 docker {
  chain FORWARD { type filter hook forward priority 0; policy drop; }
}
table inet fine {
  chain f { type filter hook forward priority 10; policy accept; }
  chain o { type filter hook output priority 0; policy drop; accept; }
}
";

/// The commands that a line says to help, for pods with these addresses.
fn remedies(line: &LogLine, pods: &str) -> Vec<String> {
    let quoted = line.message().split('`').skip(1).step_by(2);
    quoted.map(|command| command.replace("PODS", pods)).collect()
}

fn is_said(line: &LogLine) -> bool {
    line.message().contains("clients outside can't reach backends on this node")
}

fn serves(outside: &Outside, family: Family, pod: &Pod) {
    outside.serve(family, &outside.web(family), &[pod]);
    expect(&outside.client, outside.node_port(family), &[pod.name()]);
}

/// Checks that backends on this node are cut off and backends elsewhere are not, and that the remedies in the lines
/// about IPv4 and IPv6 help.
fn expect_remedied(outside: &Outside, logged: &[LogLine; 2]) {
    over_both(|family| {
        serves(outside, family, &outside.remote);
        outside.serve_by(family, &[outside.scene.pod(1)]);
        let dial = Dial::new(Transport::Tcp, outside.node_port(family)).timeout(Duration::from_millis(300));
        // The ICMP error arrives while connect(2) holds the socket, which then ignores it: on one CPU the packet and
        // its error are processed within the call. So any failure counts.
        until("backends here are cut off", || outside.client.dial(&dial).is_err());
    });
    for (line, pods) in logged.iter().zip(["10.244.1.0/24", "fd00:10:244:1::/64"]) {
        let remedies = remedies(line, pods);
        assert_eq!(remedies.len(), 2, "{}", line.text);
        for command in remedies {
            output(outside.scene.node.netns(), &command);
        }
    }
    over_both(|family| serves(outside, family, outside.scene.pod(1)));
}

#[test]
fn field_s11_a_forward_chain_that_drops_is_said_with_a_remedy_that_works() {
    from_outside_by("auto", "forward", |outside| {
        let (node, waggle) = (outside.scene.node.netns(), &outside.scene.waggle);
        assert_eq!(waggle.log().since(0).iter().filter(|line| is_said(line)).count(), 0);
        over_both(|family| serves(outside, family, outside.scene.pod(1)));
        node.load_rules(CHAINS).unwrap();
        let logged = ["table ip docker", "table ip6 docker"]
            .map(|table| waggle.wait_log(WAIT_LIMIT, |line| is_said(line) && line.message().contains(table)).unwrap());
        expect_remedied(outside, &logged);
        // Each chain is logged once, however the rules change.
        node.load_rules("add table inet more").unwrap();
        output(node, "sysctl -w net.ipv4.ip_forward=0");
        waggle.wait_log(WAIT_LIMIT, |line| line.message().starts_with("net.ipv4.ip_forward is 0")).unwrap();
        let lines: Vec<_> = waggle.log().since(0).into_iter().filter(is_said).collect();
        let distinct: BTreeSet<&str> = lines.iter().map(LogLine::message).collect();
        assert_eq!((lines.len(), distinct.len()), (2, 2), "{lines:#?}");
    });
}

/// The last rule of each chain refuses: two chains refuse whatever no other rule has taken, the others only some
/// packets, or none.
const LAST_RULES: &str = "
table ip last {
  chain FORWARD {
    type filter hook forward priority 0; policy accept;
    ct state established accept
    jump on
    counter log prefix \"last \" reject with icmp type host-prohibited
  }
  chain on { ip daddr 203.0.113.1 drop; }
}
table inet some {
  chain f { type filter hook forward priority 1; policy accept; ip daddr 203.0.113.1 drop; }
  chain g { type filter hook forward priority 2; policy accept; return; drop; }
  chain h { type filter hook forward priority 3; policy accept; goto on; reject; }
  chain on { counter; }
}
";

#[test]
fn field_s11_a_forward_chain_that_ends_with_a_refusal_is_said_with_a_remedy_that_works() {
    from_outside_by("auto", "last-rules", |outside| {
        let (node, waggle) = (outside.scene.node.netns(), &outside.scene.waggle);
        over_both(|family| serves(outside, family, outside.scene.pod(1)));
        node.load_rules(LAST_RULES).unwrap();
        output(node, "ip6tables-nft -w -A FORWARD -m comment --comment last -j REJECT");
        let logged = ["table ip last ends with", "table ip6 filter ends with"].map(|words| {
            let words = format!("{words} an unconditional reject");
            waggle.wait_log(WAIT_LIMIT, |line| is_said(line) && line.message().contains(&words)).unwrap()
        });
        expect_remedied(outside, &logged);
        let lines: Vec<_> = waggle.log().since(0).into_iter().filter(is_said).collect();
        assert_eq!(lines.len(), 2, "{lines:#?}");
    });
}

const PROGRAMS: [&str; 2] = ["iptables-legacy", "ip6tables-legacy"];

/// Runs a scenario on a kernel that has the tables of iptables. They are looked for in another namespace, since looking creates
/// them.
fn with_ip_tables(name: &str, scenario: impl Fn(&Outside)) {
    let scenario = |outside: &mut Outside| {
        let list = || Command::new(PROGRAMS[0]).args(["-w", "-S"]).output().unwrap();
        if outside.host.netns().inside(list).unwrap().status.success() {
            scenario(outside);
        } else {
            println!("skipped: this kernel has no iptables but that of nftables");
        }
    };
    from_outside_by("auto", name, scenario);
}

#[test]
fn field_s11_a_forward_policy_of_legacy_iptables_is_said_with_a_remedy_that_works() {
    with_ip_tables("ip-tables", |outside| {
        let (node, waggle) = (outside.scene.node.netns(), &outside.scene.waggle);
        let read = |name| output(node, &format!("cat /proc/net/{name}"));
        // The agent has looked, and has not created a table by that.
        output(node, "sysctl -w net.ipv4.ip_forward=0");
        waggle.wait_log(WAIT_LIMIT, |line| line.message().starts_with("net.ipv4.ip_forward is 0")).unwrap();
        output(node, "sysctl -w net.ipv4.ip_forward=1");
        assert_eq!(["ip_tables_names", "ip6_tables_names"].map(read), ["", ""]);
        // Tables that accept, and one without the chain FORWARD, are not logged.
        for program in PROGRAMS {
            output(node, &format!("{program} -w -t mangle -S"));
            output(node, &format!("{program} -w -t nat -S"));
            output(node, &format!("{program} -w -P INPUT DROP"));
            output(node, &format!("{program} -w -I INPUT -j ACCEPT"));
        }
        over_both(|family| serves(outside, family, outside.scene.pod(1)));
        for program in PROGRAMS {
            output(node, &format!("{program} -w -P FORWARD DROP"));
        }
        let logged = PROGRAMS.map(|program| {
            let is_about = |line: &LogLine| line.message().contains(&format!("table filter of {program} "));
            waggle.wait_log(WAIT_LIMIT, |line| is_said(line) && is_about(line)).unwrap()
        });
        expect_remedied(outside, &logged);
        assert_eq!(waggle.log().since(0).iter().filter(|line| is_said(line)).count(), 2);
    });
}

#[test]
fn field_s11_a_last_rule_of_legacy_iptables_that_refuses_is_said_with_a_remedy_that_works() {
    with_ip_tables("last-legacy", |outside| {
        let (node, waggle) = (outside.scene.node.netns(), &outside.scene.waggle);
        over_both(|family| serves(outside, family, outside.scene.pod(1)));
        for program in PROGRAMS {
            // A rule that drops only some packets, and one that no packet reaches.
            output(node, &format!("{program} -w -t mangle -A FORWARD -p tcp --dport 4444 -j DROP"));
            output(node, &format!("{program} -w -t security -A FORWARD -j ACCEPT"));
            output(node, &format!("{program} -w -t security -A FORWARD -j DROP"));
            output(node, &format!("{program} -w -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"));
            output(node, &format!("{program} -w -A FORWARD -m comment --comment last -j REJECT"));
        }
        let logged = PROGRAMS.map(|program| {
            let words = format!("table filter of {program} ends with an unconditional reject");
            waggle.wait_log(WAIT_LIMIT, |line| is_said(line) && line.message().contains(&words)).unwrap()
        });
        expect_remedied(outside, &logged);
        assert_eq!(waggle.log().since(0).iter().filter(|line| is_said(line)).count(), 2);
    });
}

/// Strict reverse-path checks hurt nothing but the backends in `uplinks.rs`.
#[test]
fn field_s11_strict_reverse_paths_alone_do_no_harm_and_are_not_logged() {
    from_outside_by("auto", "strict-all", |outside| {
        let node = outside.scene.node.netns();
        output(node, "sysctl -w net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1");
        over_both(|family| {
            outside.serve(family, &outside.web(family), &[outside.scene.pod(1), &outside.remote]);
            for to in outside.frontends(family) {
                expect(&outside.client, to, &["p1", "far"]);
            }
            outside.scene.delete("Service", "web");
        });
        let lines = outside.scene.waggle.log().since(0);
        assert!(lines.iter().all(|line| !line.text.contains("rp_filter")), "{lines:#?}");
        assert_eq!(output(node, "sysctl -n net.ipv4.conf.eth0.rp_filter").trim(), "1");
    });
}
