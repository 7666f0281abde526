use super::*;
use crate::watch::manifests::sample::{assembled as build_one, assembled_after, service, shown, slices};

fn service_at(port: u16) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{ports: [{{port: {port}}}]}}\n")
}

#[test]
fn s38_the_first_of_two_with_one_name_wins_and_the_other_is_reported() {
    let port = |assembled: &Assembled| service(assembled, "web").spec.ports.as_ref().expect("ports")[0].port;
    let (a, b) = (service_at(1), service_at(2));
    let both = assembled_after(&[("a.yaml", &a), ("b.yaml", &b)], &["10.96.0.0/24"], &Allocations::default());
    assert_eq!(port(&both), 1);
    assert_eq!(
        shown(&both.refusals),
        ["3 Service default/web metadata.name: \"web\" already exists: a.yaml:1 is served"]
    );
    assert_eq!(both.refusals[0].file.to_str(), Some("b.yaml"));
    let second = assembled_after(&[("b.yaml", &b)], &["10.96.0.0/24"], &both.allocations);
    assert_eq!((port(&second), second.refusals.len()), (2, 0));
    assert_eq!(service(&second, "web").spec.cluster_ip, service(&both, "web").spec.cluster_ip);
}

#[test]
fn s20_service_cidrs_are_reported_and_their_addresses_may_be_chosen() {
    let text = "apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: more}\nspec: {cidrs: [10.97.0.0/24]}\n---\n".to_owned()
        + &service_at(80).replace("spec: {", "spec: {clusterIP: 10.97.0.9, ");
    let assembled = build_one(&text);
    let cidrs: Vec<_> = assembled
        .objects
        .values()
        .filter_map(|object| if let Object::ServiceCidr(cidr) = object.unpack() { cidr.spec.cidrs } else { None })
        .collect();
    assert_eq!(cidrs, [vec!["10.96.0.0/24", "fd00:96::/112"], vec!["10.97.0.0/24"]]);
    assert_eq!(service(&assembled, "web").spec.cluster_ip.as_deref(), Some("10.97.0.9"));
}

#[test]
fn s15_only_this_node_is_reported() {
    let node = |name: &str| format!("---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\n");
    let assembled = build_one(&(node("node-1") + &node("node-2")));
    let nodes: Vec<_> = assembled.objects.keys().filter(|name| name.kind == crate::objects::Kind::Node).collect();
    assert_eq!(nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Node node-1"]);
}

#[test]
fn s3_hand_made_slices_are_passed_through() {
    let assembled = build_one(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nendpoints: [{addresses: [10.1.0.1]}]\nports: [{port: 8080}]\n",
    );
    let slice = &slices(&assembled)[0];
    assert_eq!(slice.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(slice.endpoints.as_ref().map(Vec::len), Some(1));
}

#[test]
fn s3_a_hidden_slice_keeps_its_name() {
    let hidden = |name: &str| {
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: {name}, labels: {{service.kubernetes.io/headless: ''}}}}\naddressType: IPv4\n"
        )
    };
    let served = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n\
                  ---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nstatus: {podIP: 10.1.0.1}\n";
    let name = |assembled: &Assembled| slices(assembled)[0].metadata.name.clone().expect("a name");
    let generated = name(&build_one(served));
    let both = build_one(&(served.to_owned() + &hidden(&generated)));
    assert_eq!((slices(&both).len(), name(&both)), (1, generated + "-generated"));
}
