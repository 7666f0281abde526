//! `waggle cleanup --kube-proxy` on a node that Waggle serves, and the way back.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod program;
mod replacement;
mod rules;
mod virtual_servers;

use std::{
    net::{IpAddr, SocketAddr},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use harness::{
    lab::{Client, Kind, Node, Socket, find_program, typed::Page},
    scene::{
        Family, NODE_PORT, Outside, Setup, expect, from_outside_by, output, remember_datagrams, until, web_node_port,
        web_slice,
    },
};

use self::rules::{Place, feed};

const NOTHING: &str = "nothing of kube-proxy to remove";
/// The source ports of datagrams that kube-proxy's rules translate begin here, outside of `ip_local_port_range`: the kernel must
/// not give one of them to a later socket, whose datagrams would belong to that flow until Waggle forgets it.
const FIRST_PORT: u16 = 20_000;
/// Seconds for which netfilter remembers datagrams until their flows are to end: longer than a scenario takes.
const LONGER_THAN_A_SCENARIO: u32 = 3600;
const KEEPER: &str = "waggle-keeps-translated";

/// Runs `waggle cleanup` with arguments on the node; whether it succeeded, and what it said.
fn cleanup(node: &Node, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
    command.arg("cleanup").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = node.netns().inside(|| command.output()).unwrap().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (output.status.success(), text.trim_end().to_owned())
}

/// Types the page's command that says what would be removed.
fn planned(node: &Node) -> String {
    let [plan, _] = typed();
    succeeds(node, &plan)
}

/// Types the page's command that removes what kube-proxy has left, with further arguments.
fn cleaned(node: &Node, arguments: &[&str]) -> String {
    let [_, remove] = typed();
    succeeds(node, &[&[remove.as_str()], arguments].concat().join(" "))
}

fn typed() -> [String; 2] {
    Page::Deploy.commands("Remove what kube-proxy has left", "waggle cleanup ").unwrap()
}

/// Runs a command line of `waggle cleanup`, which must succeed.
fn succeeds(node: &Node, line: &str) -> String {
    let (success, text) = cleanup(node, &line.split(' ').skip(2).collect::<Vec<_>>());
    assert!(success, "{text}");
    text
}

/// What a client dials, and the backend that kube-proxy's rules give it.
struct Dialled<'a> {
    client: &'a Client,
    to: SocketAddr,
    by_kube_proxy: &'static str,
}

/// The frontends that clients dial: one outside, one in a pod and one on the node. ClusterIPs are in the rules of IPVS only.
fn dialled(place: Place, frontends: [[SocketAddr; 4]; 2], clients: [&Client; 3]) -> Vec<Dialled<'_>> {
    let way = |client, to, by_kube_proxy| Dialled { client, to, by_kube_proxy };
    let of = |[cluster_ip, node_port, external, _]: [SocketAddr; 4]| {
        let cluster_ips = clients.into_iter().filter(|_| place == Place::Ipvs);
        let cluster_ips = cluster_ips.map(move |client| way(client, cluster_ip, "far"));
        [way(clients[0], node_port, "p1"), way(clients[0], external, "far")].into_iter().chain(cluster_ips)
    };
    frontends.into_iter().flat_map(of).collect()
}

/// Connections of TCP and UDP, with their backends.
fn open<'a>(dialled: &[Dialled<'a>]) -> Vec<(Socket<'a>, &'static str)> {
    let both = |(port, Dialled { client, to, by_kube_proxy }): (u16, &Dialled<'a>)| {
        connect(client, *to, port).map(|socket| (socket, *by_kube_proxy))
    };
    (FIRST_PORT..).zip(dialled).flat_map(both).collect()
}

/// Connects by TCP, and by UDP from `port`.
fn connect(client: &Client, to: SocketAddr, port: u16) -> [Socket<'_>; 2] {
    let (kind, any) =
        if to.is_ipv4() { (Kind::Udp4, IpAddr::from([0; 4])) } else { (Kind::Udp6, IpAddr::from([0; 16])) };
    let datagrams = client.open(kind, Some(SocketAddr::new(any, port))).unwrap();
    datagrams.connect(to).unwrap();
    [client.connect_tcp(to).unwrap(), datagrams]
}

fn assert_backends_answer(sockets: &[(Socket<'_>, impl AsRef<str>)], when: &str) {
    for (socket, name) in sockets {
        let answer = socket.ask(when).map(|message| message.backend().to_owned());
        assert_eq!(answer.as_deref(), Ok(name.as_ref()), "{when}: {:?}", socket.names());
    }
}

/// A Service of both families, that Waggle leads to another backend than kube-proxy's rules.
fn serve(outside: &Outside) {
    let addresses = Family::BOTH.map(|family| family.cluster_ip(1));
    let service = web_node_port("web", addresses, NODE_PORT).kind("LoadBalancer");
    let externals = Family::BOTH.map(|family| family.external_ip(1).to_string());
    outside.scene.put(&externals.iter().fold(service, |service, address| service.external_ip(address)).build());
    for family in Family::BOTH {
        let name = format!("web-{}", family.number());
        outside.scene.put(&web_slice("web", family).name(&name).pod(outside.scene.pod(2)).build());
    }
}

/// Waits until new connections reach this backend, or those of kube-proxy's rules.
fn served_by(dialled: &[Dialled<'_>], backend: Option<&str>) {
    for Dialled { client, to, by_kube_proxy } in dialled {
        expect(client, *to, &[backend.unwrap_or(by_kube_proxy)]);
    }
}

/// Removes the running agent and its data plane, so that the next start is a first start.
fn remove_waggle(outside: &mut Outside) {
    outside.scene.waggle.kill().unwrap();
    let node = &outside.scene.node;
    let (success, text) = cleanup(node, &["--instance", &node.instance()]);
    assert!(success && text.starts_with("removed "), "{text}");
}

fn refuses_while_kube_proxy_runs(node: &Node) {
    // A program that ends with its input, whatever its name.
    let mut command = Command::new(find_program("labproc", "LABPROC_BIN").unwrap());
    command.arg0("/usr/local/bin/kube-proxy").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut process = node.spawn(command).unwrap();
    let (success, text) = cleanup(node, &["--kube-proxy"]);
    let expected = format!("it is running (process {}) and would put everything back", process.id());
    assert!(!success && text.contains(&expected), "{text}");
    process.kill().unwrap();
}

/// Checks that the table which keeps connections alive goes with the last of them.
fn ends_with_the_connections(node: &Node, sockets: Vec<(Socket<'_>, impl AsRef<str>)>) {
    let second = cleaned(node, &[]);
    let is_for_connections = |line: &str| line.contains(KEEPER) || line.contains("virtual servers");
    assert!(second.lines().all(|line| line.starts_with("kept ") && is_for_connections(line)), "{second}");
    remember_datagrams(node.netns(), 1);
    assert_backends_answer(&sockets, "shorter");
    drop(sockets);
    until("nothing is left", || cleaned(node, &[]) == NOTHING);
    assert!(!output(node.netns(), "nft list tables").contains(KEEPER));
}

/// The backend that Waggle gives every client.
const BY_WAGGLE: Option<&str> = Some("p2");

fn scenario(place: Place, outside: &mut Outside) {
    let netns = outside.scene.node.netns().clone();
    remove_waggle(outside);
    place.install_others(&netns);
    let others = place.listing(&netns);
    place.install(outside);
    remember_datagrams(&netns, LONGER_THAN_A_SCENARIO);
    let both = place.listing(&netns);
    serve(outside);
    let frontends = Family::BOTH.map(|family| outside.frontends(family));
    let clients = [&outside.client, &*outside.scene.from_pod, &*outside.scene.from_node];
    let dialled = dialled(place, frontends, clients);
    let sockets = open(&dialled);
    assert_backends_answer(&sockets, "before");
    outside.scene.waggle.restart().unwrap();
    let node = &outside.scene.node;
    served_by(&dialled, BY_WAGGLE);
    assert_backends_answer(&sockets, "beside new connections");

    refuses_while_kube_proxy_runs(node);
    let plan = planned(node);
    assert_eq!(place.listing(&netns), both, "after a dry run");
    let done = cleaned(node, &[]);
    let settled = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let planned = settled(&plan).replace("would remove", "removed").replace("would add", "added");
    assert_eq!(planned.replace("would keep", "kept"), settled(&done));
    println!("{done}");
    assert_backends_answer(&sockets, "after the clean-up");
    served_by(&dialled, BY_WAGGLE);
    assert_backends_answer(&sockets, "beside new connections after the clean-up");
    if place == Place::Ipvs {
        virtual_servers::forget_datagrams(&netns);
    }
    ends_with_the_connections(node, sockets);
    assert_eq!(place.listing(&netns), others);
    served_by(&dialled, BY_WAGGLE);

    // The way back: kube-proxy's rules first, then Waggle goes.
    place.install(outside);
    served_by(&dialled, BY_WAGGLE);
    outside.scene.waggle.stop().unwrap();
    let (success, text) = cleanup(node, &["--instance", &node.instance()]);
    assert!(success && text.starts_with("removed "), "{text}");
    served_by(&dialled, None);
}

#[test]
fn s31_what_kube_proxy_has_left_in_nftables_is_removed_and_nothing_is_cut() {
    from_outside_by("auto", "left-nft", |outside| scenario(Place::Nftables, outside));
}

#[test]
fn s31_what_kube_proxy_has_left_in_iptables_is_removed_and_nothing_is_cut() {
    for variant in ["nft", "legacy"] {
        from_outside_by("auto", "left-ipt", |outside| scenario(Place::Iptables(variant), outside));
    }
}

#[test]
fn s31_what_kube_proxy_has_left_in_ipvs_is_removed_and_nothing_is_cut() {
    if virtual_servers::has_ipvs() {
        from_outside_by("auto", "left-vs", |outside| scenario(Place::Ipvs, outside));
    }
}

/// The device of IPVS mode too, if the kernel has dummy devices.
#[test]
fn sets_and_the_device_of_ipvs_mode_are_removed_and_others_stay() {
    let scene = Setup::new("left-ipvs").build();
    let netns = scene.node.netns();
    let sets = "create KUBE-CLUSTER-IP hash:ip,port\ncreate KUBE-6-CLUSTER-IP hash:ip,port family inet6\n\
                create KUBE-NODE-PORT-TCP bitmap:port range 0-65535\nadd KUBE-NODE-PORT-TCP 30080\n\
                create KUBE-LOOP-BACK hash:ip,port,ip\ncreate KUBE-SRC-57XVOCFNTLTR3Q27 hash:ip\n";
    feed(netns, &["ipset", "restore"], sets);
    let rules = "*nat\n:OURS - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n\
                 -A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n\
                 -A KUBE-POSTROUTING -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE\n\
                 -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n-A OURS -j KUBE-MARK-MASQ\nCOMMIT\n";
    feed(netns, &["iptables-nft-restore", "--noflush"], rules);
    let device = || Command::new("ip").args(["link", "add", "kube-ipvs0", "type", "dummy"]).output().unwrap();
    let has_device = netns.inside(device).unwrap().status.success();
    if !has_device {
        println!("not tested: this kernel has no dummy devices");
    }
    let done = cleaned(&scene.node, &[]);
    assert_eq!(done.contains("kube-ipvs0"), has_device, "{done}");
    let kept = |line: &str| line.starts_with("kept ");
    let (stays, goes): (Vec<_>, Vec<_>) = done.lines().partition(|line| kept(line));
    assert_eq!(goes.len(), 3 + usize::from(has_device), "{done}");
    assert!(stays.iter().any(|line| line.ends_with("KUBE-MARK-MASQ, KUBE-POSTROUTING")), "{done}");
    assert_eq!(output(netns, "ipset list -n"), "KUBE-LOOP-BACK\nKUBE-SRC-57XVOCFNTLTR3Q27\n");
    assert!(cleaned(&scene.node, &[]).lines().all(kept));
    // Without the stranger's rule, the chains and the set that it has kept go, too.
    let remove = "*nat\n-F OURS\nCOMMIT\n";
    feed(netns, &["iptables-nft-restore", "--noflush"], remove);
    cleaned(&scene.node, &[]);
    assert_eq!(cleaned(&scene.node, &[]), NOTHING);
    assert_eq!(output(netns, "ipset list -n"), "KUBE-SRC-57XVOCFNTLTR3Q27\n");
}
