//! Addresses that the author of a Service can't capture (CVE-2020-8554), with a real agent. Each case, over both families and for
//! both kinds of addresses: `model/tests/guard.rs` of the agent.

use harness::{
    lab::START,
    objects::lab_node,
    scene::{Family, Origin, Setup, dual},
};
use serde_json::json;

const KUBELET: u16 = 10250;

#[test]
fn s18_a_service_captures_neither_the_kubelet_nor_addresses_that_are_not_allowed() {
    let arguments = ["--external-ip-cidrs", "203.0.113.0/24,2001:db8::/64"];
    let mut scene = Setup::new("greedy").origin(Origin::Api).backends(1).args(arguments).build();
    let mut node = lab_node(&scene.node).build();
    node["status"]["daemonEndpoints"] = json!({ "kubeletEndpoint": { "Port": KUBELET } });
    scene.put(&node);
    let _kubelet = scene.node.serve(&[KUBELET]).unwrap();
    let [v4, v6] = scene.node.addresses().map(|address| address.to_string());
    let allowed = Family::BOTH.map(|family| family.external_ip(1));
    let service = dual("greedy", 10).named_port("kubelet", "TCP", KUBELET, 8080).named_port("web", "TCP", 80, 8080);
    let service = service.external_ip("198.51.100.7").load_balancer_ip(&v4).load_balancer_ip(&v6);
    scene.put(&allowed.iter().fold(service, |service, ip| service.external_ip(&ip.to_string())).build());
    scene.endpoints(
        "greedy",
        |slice| slice.named_port("kubelet", "TCP", 8080).named_port("web", "TCP", 8080),
        &[scene.pod(1)],
    );
    scene.start();
    for (own, allowed) in scene.node.addresses().into_iter().zip(allowed) {
        for client in [&scene.from_pod, &scene.from_node] {
            assert_eq!(client.tcp((own, KUBELET)).unwrap().backend(), scene.node.name());
            assert_eq!(client.tcp((own, 80)).unwrap().backend(), "p1", "a load balancer on nodes");
            assert_eq!(client.tcp((allowed, KUBELET)).unwrap().backend(), "p1");
        }
    }
    for words in [["198.51.100.7", "--external-ip-cidrs"], [&v4, "kubelet"], [&v6, "kubelet"]] {
        let is_it = |line: &harness::lab::LogLine| words.iter().all(|word| line.text.contains(word));
        scene.waggle.wait_log(START, is_it).unwrap();
    }
}
