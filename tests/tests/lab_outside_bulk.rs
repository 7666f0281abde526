//! Large transfers from outside: much, and through narrow links. Contents are compared. Needs root.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    env,
    net::{IpAddr, SocketAddr},
};

use harness::{
    lab::{Host, Mode, Pod, Server},
    scene::{Family, Outside, PORTS, expect, from_outside, from_outside_over_both, over_both, web_slice},
};

/// How much goes each way, MiB, unless the environment says more: 10240 has been tried.
const MEBIBYTES: &str = "WAGGLE_LAB_BULK_MIB";
const USUAL: u64 = 256;

/// Enough to fill a narrow link's windows many times over.
const SOME: u64 = 8 << 20;

/// Where servers echo.
const ECHO: u16 = 9000;

/// The MTU of a link that is narrower than its neighbours.
const NARROW: u16 = 1400;

fn echo(host: &Host) -> Server {
    host.serve_at(&host.addresses().map(|address| SocketAddr::new(address, ECHO)), Mode::Echo).unwrap()
}

/// Leads the Service to the echo port of one backend, once it was one that tells its name.
fn serve_echo(outside: &Outside, family: Family, pod: &Pod) {
    outside.serve(family, &outside.web(family), &[pod]);
    expect(&outside.client, outside.node_port(family), &[pod.name()]);
    let kind = format!("IPv{}", family.number());
    let slice = harness::objects::slice("web").address_type(&kind);
    outside.scene.put(&slice.named_port("tcp", "TCP", ECHO).named_port("udp", "UDP", ECHO).pod(pod).build());
    let to = outside.node_port(family);
    harness::stage::until("an echo", || outside.client.tcp(to).is_ok_and(|reply| reply.message.text == "hello"));
}

#[test]
fn s26_bulk_arrives_as_it_was_sent() {
    let bytes = env::var(MEBIBYTES).map_or(USUAL, |text| text.parse().unwrap()) << 20;
    from_outside("bulk", |outside| {
        let pods = [outside.scene.pod(1), &outside.remote];
        let _servers = pods.map(|pod| echo(pod));
        over_both(|family| {
            for pod in pods {
                serve_echo(outside, family, pod);
                let elapsed = outside.client.bulk(outside.node_port(family), None, bytes).unwrap();
                println!("{} MiB each way to {} in {elapsed:?}", bytes >> 20, pod.name());
            }
            outside.scene.delete("Service", "web");
        });
    });
}
