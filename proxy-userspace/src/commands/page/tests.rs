//! Tests of the documents, over samples of two Services.

use serde_json::{Value, json};

use super::{
    look::Look,
    refusals, service,
    services::{self, Asked},
};
use crate::{
    commands::{get::ServicePort, top::samples},
    server::page::Parameters,
};

/// A look after which both Services have been dialled, and something was refused, for two seconds.
fn look() -> Look {
    let [before, now] = samples();
    Look::new(now, Some(Look::new(before, None)))
}

fn asked(parameters: impl Into<Parameters>) -> Asked {
    Asked::parse(&parameters.into()).unwrap()
}

fn shown(parameters: impl Into<Parameters>) -> Value {
    serde_json::to_value(services::document(&look(), &asked(parameters))).unwrap()
}

fn names(document: &Value) -> Vec<&str> {
    document["services"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn rows_say_what_is_dialled_how_often_and_who_serves() {
    let document = shown([]);
    assert_eq!((&document["count"], &document["matching"]), (&json!(2), &json!(2)));
    let web = &document["services"][0];
    assert_eq!([&web["namespace"], &web["name"], &web["port"]], ["default", "web", "http"]);
    assert_eq!(web["types"], json!(["ClusterIP"]));
    assert_eq!(web["addresses"], json!(["10.96.0.10:80", "[fd00:96::10]:80"]));
    assert_eq!((&web["backends"], &web["local"], &web["refuses"]), (&json!(2), &json!(1), &Value::Null));
    assert_eq!(web["rates"], json!({ "connections": 12.0, "packets": 0.0, "bytes": 0.0 }));
    assert_eq!(web["history"], json!([12.0]));
    let cart = &document["services"][1];
    assert_eq!((&cart["backends"], &cart["refuses"]), (&json!(0), &json!("drops")));
    assert_eq!(document["total"], json!({ "connections": 12.5, "packets": 150.0, "bytes": 10_000.0 }));
    assert_eq!((&document["refused"], &document["history"]["refused"]), (&json!(1.0), &json!([1.0])));
}

#[test]
fn the_first_look_has_no_rates() {
    let [first, _] = samples();
    let look = Look::new(first, None);
    let document = serde_json::to_value(services::document(&look, &asked([]))).unwrap();
    assert_eq!((&document["total"], &document["history"]["connections"]), (&Value::Null, &json!([])));
    assert_eq!(document["services"][0]["rates"], Value::Null);
}

#[test]
fn rows_are_filtered_by_all_that_they_show_and_sorted() {
    assert_eq!(names(&shown([("filter", "SHOP/")])), ["cart"]);
    assert_eq!(names(&shown([("filter", "fd00:96")])), ["web"]);
    assert_eq!(names(&shown([("filter", "clusterip")])), ["web", "cart"]);
    assert_eq!(names(&shown([("filter", "nothing")])), [""; 0]);
    for (sort, order, wanted) in [
        ("name", "descending", ["cart", "web"]),
        ("backends", "ascending", ["cart", "web"]),
        ("connections", "descending", ["web", "cart"]),
        ("packets", "descending", ["cart", "web"]),
        ("bytes", "ascending", ["web", "cart"]),
    ] {
        assert_eq!(names(&shown([("sort", sort), ("order", order)])), wanted, "{sort} {order}");
    }
    let error = Asked::parse(&[("sort", "age")].into()).unwrap_err();
    assert_eq!(error, "sort by \"age\": give name, backends, connections, packets or bytes");
}

#[test]
fn a_port_shows_its_frontends_with_their_lists() {
    let port = |name: &str| {
        let [namespace, name, port, protocol] = ["default", name, "http", "TCP"].map(str::to_owned);
        ServicePort { namespace, name, port, protocol }
    };
    let document = serde_json::to_value(service::document(&look(), &port("web"))).unwrap();
    let frontend = &document["frontends"][0];
    assert_eq!((&frontend["address"], &frontend["type"]), (&json!("10.96.0.10:80"), &json!("ClusterIP")));
    assert_eq!(frontend["internal"], json!({ "policy": "Cluster", "backends": 2 }));
    assert_eq!(frontend["external"], json!({ "policy": "Local", "backends": 1 }));
    assert_eq!(document["history"]["connections"], json!([12.0]));
    assert!(service::document(&look(), &port("gone")).is_none());
}

#[test]
fn every_reason_has_its_meaning_its_advice_and_its_rate() {
    let document = serde_json::to_value(refusals::document(&look())).unwrap();
    let reasons = document["reasons"].as_array().unwrap();
    let of = |label: &str| reasons.iter().find(|reason| reason["reason"] == label).unwrap();
    let no_backend = of("no_backend");
    assert_eq!((&no_backend["count"], &no_backend["rate"]), (&json!(5), &json!(1.0)));
    assert_eq!((&of("no_route")["count"], &of("no_route")["rate"]), (&json!(9), &json!(0.0)));
    assert!(no_backend["advice"].as_str().unwrap().len() > 20 && no_backend["meaning"].is_string());
}
