use proxy_common::Counter;

use crate::attach::Mode;

use super::{
    super::{
        AffinityRow, DeviceRow, EndpointRow, Fill, FlowRow, ProgramCell, ServicePort, SourcesCell, backends, drops,
        endpoints, maps,
        sample::{Lamp, check_fields, lamp},
        services,
        tests::snapshot,
    },
    *,
};

#[test]
fn rows_are_selected_by_the_fields_of_their_json() {
    let mut service = services(&snapshot()).remove(0);
    service.sources = Some(SourcesCell { ranges: vec![], node: true, pods: true });
    check_fields(&service);
    check_fields(&endpoints(&snapshot())[0]);
    check_fields(&backends(&snapshot())[0]);
    check_fields(&drops(&[(Counter::DropNoRoute, 1)].into())[0]);
    check_fields(&maps(&Fill::default())[0]);
    let (device, programs) = ("eth0".to_owned(), vec![ProgramCell { hook: "xdp", program: None, link: None }]);
    let (index, mode, why) = (2, Mode::Xdp, "-");
    check_fields(&DeviceRow { device, index, mode, why, fell_back: false, pod: false, programs });
}

#[test]
fn flows_and_clients_are_selected_by_the_fields_of_their_json() {
    let service_port: ServicePort = services(&snapshot()).remove(0).service_port;
    let backend = || "10.1.0.1:8080".to_owned();
    check_fields(&FlowRow {
        service_port: service_port.clone(),
        client: None,
        socket: Some(1),
        frontend: "10.96.0.10:80".to_owned(),
        backend: backend(),
        source: None,
        state: "connected",
        age_seconds: None,
        expires_seconds: None,
    });
    check_fields(&AffinityRow {
        service_port,
        client: None,
        netns: Some(1),
        backend: backend(),
        age_seconds: 1,
        expires_seconds: 2,
    });
}

#[test]
fn all_conditions_must_hold() {
    let selected = |text: &str| {
        let selector: FieldSelector = text.parse().unwrap();
        selector.check::<Lamp>().unwrap();
        let lamps = [lamp("a", true, 1), lamp("b", false, 2), lamp("c", true, 3)];
        let chosen = lamps.iter().filter(|lamp| selector.selects(&serde_json::to_value(lamp).unwrap()));
        chosen.map(|lamp| lamp.name).collect::<String>()
    };
    assert_eq!(selected("isOn=true"), "ac");
    assert_eq!(selected("isOn=true,name!=a"), "c");
    assert_eq!(selected("age=2"), "b");
    assert_eq!(selected("age!=2,isOn=false"), "");
    assert_eq!([selected("age<2"), selected("age>1"), selected("age>1,age<3")], ["a", "bc", "b"]);
    assert_eq!(selected(""), "abc");
}

#[test]
fn only_numbers_are_compared_with_numbers_whether_there_are_rows_or_not() {
    let refusal =
        |text: &str| text.parse::<FieldSelector>().unwrap().check::<Lamp>().map_err(|error| error.to_string());
    assert_eq!(refusal("age<5,name=5"), Ok(()));
    let expected = "select lamps by \"name\": `<` and `>` are for numbers, which are age";
    assert_eq!([refusal("name<5"), refusal("age>1,name>5")], [(); 2].map(|()| Err(expected.to_owned())));
    let selector: FieldSelector = "local>5".parse().unwrap();
    let message = selector.check::<EndpointRow>().unwrap_err().to_string();
    assert_eq!(message, "select endpoints by \"local\": `<` and `>` are for numbers, and they have none");
}

#[test]
fn addresses_match_with_and_without_their_ports() {
    for (text, value, wanted) in [
        ("192.0.2.9:80", "192.0.2.9", true),
        ("192.0.2.9:80", "192.0.2.9:80", true),
        ("192.0.2.9:80", "192.0.2.9:81", false),
        ("192.0.2.90:80", "192.0.2.9", false),
        ("[fd00::1]:80", "fd00:0::1", true),
        ("[fd00::1]:80", "[fd00::1]:80", true),
        ("fd00::1", "fd00:0::1", true),
        ("192.0.2.9", "192.0.2.9:80", false),
        ("*:30080", "*", false),
    ] {
        assert_eq!(has(&Value::from(text), value), wanted, "{text} {value}");
    }
}

#[test]
fn lists_have_each_of_their_items_and_absent_values_are_empty() {
    assert!(has(&serde_json::json!(["Cluster", "Local"]), "Local"));
    assert!(!has(&serde_json::json!(["Cluster"]), "Local"));
    assert!(has(&Value::Null, "") && has(&serde_json::json!([]), "") && !has(&Value::from("a"), ""));
}

#[test]
fn a_field_that_is_not_there_is_named_with_those_that_are() {
    let selector: FieldSelector = "colour=red".parse().unwrap();
    let message = selector.check::<Lamp>().unwrap_err().to_string();
    assert_eq!(message, "select lamps by \"colour\": they have no such field; give one of name, isOn, age");
}
