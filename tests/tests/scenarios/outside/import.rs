//! Connections that another service proxy has opened continue after the agent's first start.

use std::fs;

use harness::{
    lab::Socket,
    scene::{Family, NODE_PORT, Outside, expect, from_outside},
};

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

#[test]
fn s31_connections_of_another_proxy_go_on_after_the_take_over() {
    for family in Family::BOTH {
        from_outside("import", |outside| {
            let [_, node_port, external, _] = outside.frontends(family);
            let netns = &outside.scene.node.netns().clone();
            // The data plane is removed with its pins, so the next start is a first start.
            outside.scene.waggle.kill().unwrap();
            fs::remove_dir_all(outside.scene.waggle.pins()).unwrap();
            netns.load_rules(OTHERS).unwrap();
            netns.load_rules(&translations(outside)).unwrap();
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
