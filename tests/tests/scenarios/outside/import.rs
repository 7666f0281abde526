//! Connections that another service proxy has opened continue after the agent's first start.

use std::{fs, time::Duration};

use harness::{
    lab::Socket,
    scene::{Family, NODE_PORT, Outside, Setup, expect, from_outside, remember_datagrams, until, web_slice},
};

use crate::agent::import::foreign;

/// Rules of another tool that need netfilter's connection tracking: without any such rule it would stop looking at
/// packets.
const OTHERS: &str = "table inet others {
  chain forward { type filter hook forward priority filter; ct state new accept; }
}";

/// Another proxy's rules on the node: the node port leads to the pod on this node; the externalIP leads to the pod on
/// the other node, with the node's address.
fn translations(outside: &Outside) -> String {
    let (near, far, node) = (outside.scene.pod(1), &outside.remote, &outside.scene.node);
    format!(
        "table inet elsewhere {{
           chain services {{ type nat hook prerouting priority dstnat;
             ip daddr {} meta l4proto {{ tcp, udp }} th dport {NODE_PORT} dnat ip to {}:8080
             ip6 daddr {} meta l4proto {{ tcp, udp }} th dport {NODE_PORT} dnat ip6 to [{}]:8080
             ip daddr 203.0.113.1 meta l4proto {{ tcp, udp }} th dport 80 dnat ip to {}:8080
             ip6 daddr 2001:db8::1 meta l4proto {{ tcp, udp }} th dport 80 dnat ip6 to [{}]:8080
           }}
           chain leave {{ type nat hook postrouting priority srcnat;
             ip daddr {} masquerade
             ip6 daddr {} masquerade
           }}
         }}",
        node.v4(),
        near.v4(),
        node.v6(),
        near.v6(),
        far.v4(),
        far.v6(),
        far.v4(),
        far.v6(),
    )
}

/// Removes the data plane with its pins, so that the next start is a first start.
fn remove_waggle(outside: &mut Outside) {
    outside.scene.waggle.kill().expect("kill the agent");
    fs::remove_dir_all(outside.scene.waggle.pins()).expect("remove the pins");
}

#[test]
fn s31_connections_of_another_proxy_go_on_after_the_take_over() {
    for family in Family::BOTH {
        from_outside("import", |outside| {
            let [_, node_port, external, _] = outside.frontends(family);
            let netns = &outside.scene.node.netns().clone();
            remove_waggle(outside);
            netns.load_rules(OTHERS).unwrap();
            netns.load_rules(&translations(outside)).unwrap();
            remember_datagrams(netns, 3600);
            let open = |to, name: &str| -> Vec<Socket<'_>> {
                let sockets = vec![outside.client.connect_tcp(to).unwrap(), outside.client.connect_udp(to).unwrap()];
                for socket in &sockets {
                    assert_eq!(socket.ask("who").unwrap().backend(), name);
                }
                sockets
            };
            let before = [(open(node_port, "p1"), "p1"), (open(external, "far"), "far")];
            let assert_backends_answer = |when: &str| {
                for (socket, name) in before.iter().flat_map(|(sockets, name)| sockets.iter().map(move |it| (it, name)))
                {
                    let answer = socket.ask(when).map(|message| message.backend().to_owned());
                    assert_eq!(answer.as_deref(), Ok(*name), "{when}");
                }
            };
            outside.serve(family, &outside.web(family), &[outside.scene.pod(2)]);
            outside.scene.waggle.restart().unwrap();
            assert_backends_answer("after the start");
            for to in [node_port, external] {
                expect(&outside.client, to, &["p2"]);
            }
            assert_backends_answer("beside new connections");
            netns.load_rules("flush table inet elsewhere\n").unwrap();
            assert_backends_answer("without the other proxy's rules");
        });
    }
}

/// As after `kube-proxy --cleanup`, with clients that go on sending.
#[test]
fn s31_datagrams_reach_a_backend_once_the_other_proxy_is_gone() {
    let setup = Setup::new("import-udp").args(["--conntrack-udp-timeout=3s", "--conntrack-udp-timeout-stream=3s"]);
    from_outside(setup, |outside| {
        let frontends = Family::BOTH.map(|family| outside.frontends(family)[1..3].to_vec()).concat();
        let netns = &outside.scene.node.netns().clone();
        remove_waggle(outside);
        netns.load_rules(OTHERS).unwrap();
        netns.load_rules(&translations(outside)).unwrap();
        // Long enough for a start on a busy machine, since only flows that netfilter still knows are imported.
        remember_datagrams(netns, 15);
        let sockets: Vec<_> = frontends.iter().map(|to| outside.client.connect_udp(to).unwrap()).collect();
        for socket in &sockets {
            assert_ne!(socket.ask("before").unwrap().backend(), "p2");
        }
        for family in Family::BOTH {
            let slice = web_slice("web", family).name(&family.name("web"));
            outside.scene.put(&slice.pod(outside.scene.pod(2)).build());
        }
        let [service, _, _] = outside.web_of_both();
        outside.scene.put(&service);
        outside.scene.waggle.restart().unwrap();
        let imported = foreign(&outside.scene);
        let is_imported = |socket: &Socket<'_>| {
            let names = socket.names().unwrap();
            imported.contains(&(names.local, names.peer.unwrap(), 17))
        };
        assert!(sockets.iter().all(is_imported), "{imported:?}");
        for to in frontends {
            expect(&outside.client, to, &["p2"]);
        }
        netns.load_rules("delete table inet elsewhere\ndelete table inet others\n").unwrap();
        for socket in &sockets {
            until("an answer of Waggle's backend", || {
                // While nothing translates the datagrams, they are refused or lost.
                let _ = socket.send("after");
                socket.receive(Duration::from_millis(100)).is_ok_and(|message| message.backend() == "p2")
            });
        }
    });
}
