use serde_json::{Value, json};

use super::{super::frame::Frame, figures, samples};
use crate::commands::top::{chosen::Chosen, rates::Figures};

fn frame(figures: &Figures) -> Value {
    serde_json::to_value(Frame::from(figures)).unwrap()
}

#[test]
fn a_frame_has_the_rates_of_each_port_and_what_is_refused() {
    let frame = frame(&figures());
    assert_eq!((&frame["elapsedSeconds"], &frame["refusedPerSecond"]), (&json!(2.0), &json!(1.0)));
    let total = json!({ "connectionsPerSecond": 12.5, "packetsPerSecond": 150.0, "bytesPerSecond": 10_000.0 });
    assert_eq!(frame["total"], total);
    let cart = frame["services"].as_array().unwrap().iter().find(|port| port["name"] == "cart").unwrap();
    let expected = json!({
        "namespace": "shop", "name": "cart", "port": "", "protocol": "TCP",
        "connectionsPerSecond": 0.5, "packetsPerSecond": 150.0, "bytesPerSecond": 10_000.0, "connections": 8,
    });
    assert_eq!(*cart, expected);
    let refusal = json!({ "verdict": "reject", "reason": "no_backend", "refusedPerSecond": 1.0, "count": 5 });
    assert_eq!(frame["refusals"][0], refusal);
}

#[test]
fn rates_that_are_not_known_are_null() {
    let [mut before, mut now] = samples();
    // The counters have begun again.
    std::mem::swap(&mut before.snapshot.counted, &mut now.snapshot.counted);
    let frame = frame(&Figures::compare(&before, &now, &Chosen::default()));
    let rates = frame["services"].as_array().unwrap().iter().map(|port| &port["connectionsPerSecond"]);
    assert!(rates.clone().count() == 2 && rates.into_iter().all(Value::is_null), "{frame}");
}
