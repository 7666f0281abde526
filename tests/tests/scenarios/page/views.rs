//! The views, by mouse and keyboard, in light and dark, on a desktop and a phone.

use std::net::Ipv4Addr;

use harness::{
    lab::eventually,
    scene::{Family, Scene, WAIT_LIMIT, until},
};
use serde_json::{Value, json};

use super::{
    DESKTOP, PAGE, PHONE, access,
    browser::{Browser, Key, is_there},
    check_quiet, scene, until_texts,
};

/// Names of the Services in the table.
const NAMES: &str = "#service-rows th a";

/// The cell of a row of Services, from 0.
fn cell(browser: &Browser<'_>, name: &str, column: usize) -> String {
    let rows = browser.run("return [...document.querySelectorAll('#service-rows tr')].map((row) => [...row.cells].map((cell) => cell.innerText))");
    let rows: Vec<Vec<String>> = serde_json::from_value(rows).unwrap();
    let row = rows.into_iter().find(|row| row[0].starts_with(name));
    row.map(|row| row[column].clone()).unwrap_or_default()
}

#[test]
fn the_page_shows_services_and_where_their_connections_go() {
    if !is_there() {
        return;
    }
    let scene = scene("page");
    let browser = Browser::start(scene.node.netns(), DESKTOP);
    browser.open(PAGE);
    browser.until("document.querySelectorAll('#service-rows tr').length === 3");
    browser.until("document.querySelector('#health').innerText.includes('healthy')");
    assert_eq!(browser.text("#node-name"), scene.node.name());
    scene.while_dialling(|| {
        until("the Service that is dialled has a rate", || {
            cell(&browser, "default/web:tcp", 3).trim_end_matches('k').parse::<f64>().is_ok_and(|rate| rate > 0.0)
        });
        browser.until("document.querySelector('#service-rows .spark').ariaLabel.includes('Connections per second to default/web:tcp')");
        assert!(cell(&browser, "shop/cart", 2).starts_with("none"));
        browser.screenshot("services");
        choose_services(&browser);
    });
    look_at_a_service(&scene, &browser);
    browser.click("nav a[href='#/refusals']");
    browser.until("document.querySelector('#applied .mono')?.innerText === 'no_backend'");
    browser.click("#applied summary");
    assert!(browser.text("#applied dl").contains("what to do"));
    browser.click("nav a[href='#/node']");
    browser.until(
        "document.querySelectorAll('#hook-rows tr').length > 9 && document.querySelectorAll('#map-rows tr').length > 5",
    );
    assert!(browser.text("#hook-rows").contains("attached") && browser.text("#facts").contains(scene.node.name()));
    check_quiet(&browser);
}

/// Filters the table of Services and sorts it.
fn choose_services(browser: &Browser<'_>) {
    // The filter, and what it says without a match.
    browser.fill("#filter", "SHOP");
    until_texts(browser, NAMES, &["shop/cart"]);
    assert_eq!(browser.text("#matching"), "1 of 3 service ports");
    browser.fill("#filter", "nothing like it");
    browser.until("!document.querySelector('#no-services').hidden");
    browser.run(
        "const field = document.querySelector('#filter'); field.value = ''; field.dispatchEvent(new Event('input'))",
    );
    // The order.
    browser.click("th[data-sort=name] button");
    until_texts(browser, NAMES, &["default/web:tcp", "default/web:udp", "shop/cart"]);
    browser.click("th[data-sort=name] button");
    until_texts(browser, NAMES, &["shop/cart", "default/web:udp", "default/web:tcp"]);
    let sorted = browser
        .run("return [...document.querySelectorAll('th[aria-sort]')].map((th) => [th.innerText.trim(), th.ariaSort])");
    assert_eq!(sorted, json!([["Service", "descending"]]));
}

/// Opens the last Service of the table, `default/web:tcp`, while three connections to it are open.
fn look_at_a_service(scene: &Scene, browser: &Browser<'_>) {
    let held = [(); 3].map(|()| scene.from_pod.connect_tcp(Family::Ipv4.frontend(10)).unwrap());
    browser.click("#service-rows tr:last-child a");
    browser.until("document.querySelector('#service-title').textContent === 'default/web:tcp TCP'");
    browser.until("document.querySelectorAll('#backend-rows tr').length === 2");
    let open =
        || -> u32 { browser.texts("#backend-rows td:last-child").iter().map(|text| text.parse().unwrap_or(0)).sum() };
    assert!(eventually(WAIT_LIMIT, || open() == 3), "{:?}", browser.texts("#backend-rows tr"));
    assert_eq!(browser.texts("#backend-rows .state").len(), 2);
    assert!(browser.text("#backend-rows").contains("serving"));
    assert_eq!(browser.run("return document.querySelectorAll('#picture .flow').length > 1"), json!(true));
    assert!(browser.text("#picture-caption").starts_with("3 open connections from 1 client"));
    let frontends = browser.text("#frontend-rows");
    assert!(frontends.contains("10.96.0.10:80") && frontends.contains("*:30080"), "{frontends}");
    browser.screenshot("service");
    browser.click("#picture-details summary");
    assert!(browser.text("#picture-rows").contains("this node and its pods"));
    drop(held);
}

#[test]
fn the_page_explains_a_connection_as_the_command_line_does() {
    if !is_there() {
        return;
    }
    let scene = scene("page-xpl");
    let browser = Browser::start(scene.node.netns(), DESKTOP);
    let client = scene.client.v4();
    browser.open(&format!("{PAGE}#/explain"));
    for (destination, outcome) in
        [("default/web:tcp", "served"), ("10.96.0.11:80", "rejected"), ("10.96.0.99:80", "dropped")]
    {
        browser.fill("#client", &client.to_string());
        browser.fill("#destination", destination);
        browser.click("#explain-form button");
        browser.until(&format!("document.querySelector('#verdict-title').innerText.includes('{outcome}') && !document.querySelector('#explanation').hidden"));
        let arguments =
            ["explain".to_owned(), client.to_string(), destination.to_owned(), "-o".to_owned(), "json".to_owned()];
        let printed = in_node(&scene, &arguments);
        let explanation: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
        assert_eq!(explanation["verdict"]["outcome"], outcome);
        let steps = browser.texts("#steps li p").join("\n");
        assert!(steps.contains(explanation["verdict"]["clientSees"].as_str().unwrap()), "{steps}");
    }
    assert!(browser.run("return location.hash").as_str().unwrap().contains("destination=10.96.0.99%3A80"));
    browser.screenshot("explain");
    // A wrong client, and the words of the command line about it.
    browser.fill("#client", "10.244.1");
    browser.click("#explain-form button");
    browser.until("!document.querySelector('#explain-error').hidden");
    let printed = in_node(&scene, &["explain", "10.244.1", "10.96.0.99:80"].map(str::to_owned));
    assert_eq!(format!("waggle: {}\n", browser.text("#explain-error")), printed);
    assert_eq!(browser.run("return document.activeElement.id"), json!("client"));
    // A link from a Service names what is dialled.
    browser.open(&format!("{PAGE}#/explain?destination=shop%2Fcart&protocol=tcp"));
    browser.until("document.querySelector('#destination').value === 'shop/cart'");
    let failures = browser.console();
    assert!(failures.len() == 1 && failures[0].contains("400"), "only the wrong question is an error: {failures:?}");
}

/// What `waggle` prints in the node's network namespace.
fn in_node(scene: &Scene, arguments: &[String]) -> String {
    let program = harness::lab::find_program("waggle", "WAGGLE_BIN").unwrap();
    let instance = scene.node.instance();
    let run = || std::process::Command::new(program).args(arguments).args(["--instance", &instance]).output();
    let output = scene.node.netns().inside(run).unwrap().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn the_page_works_by_keyboard_alone() {
    if !is_there() {
        return;
    }
    let scene = scene("page-keys");
    let browser = Browser::start(scene.node.netns(), DESKTOP);
    browser.open(PAGE);
    browser.until("document.querySelectorAll('#service-rows tr').length === 3");
    let focused = || browser.run("return document.activeElement.innerText?.trim() || document.activeElement.id");
    let tab_to = |wanted: &str| {
        for _ in 0..30 {
            browser.press(Key::Tab);
            let style = browser.run("return getComputedStyle(document.activeElement).outlineStyle");
            assert_ne!(style, json!("none"), "the focus is visible on {}", focused());
            if focused() == json!(wanted) {
                return;
            }
        }
        panic!("Tab does not lead to {wanted}");
    };
    tab_to("Skip to the content");
    browser.press(Key::Enter);
    assert_eq!(browser.run("return document.activeElement.id"), json!("content"));
    tab_to("filter");
    browser.type_text("web:udp");
    until_texts(&browser, "#service-rows th a", &["default/web:udp"]);
    tab_to("default/web:udp");
    browser.press(Key::Enter);
    browser.until("document.activeElement.id === 'service-title'");
    browser.until("document.querySelectorAll('#backend-rows tr').length === 2");
    tab_to("Explain a connection to this Service");
    browser.press(Key::Enter);
    browser.until("document.activeElement.id === 'explain-title'");
    tab_to("client");
    browser.type_text(&scene.client.v4().to_string());
    browser.press(Key::Enter);
    browser.until("document.activeElement.id === 'verdict-title'");
    assert!(browser.text("#verdict-title").contains("served"));
    check_quiet(&browser);
}

/// The views: their names, where they are, and an expression that is true once they are shown.
fn views(client: Ipv4Addr) -> [(&'static str, String, &'static str); 5] {
    [
        ("services", String::new(), "document.querySelectorAll('#service-rows tr').length === 3"),
        (
            "service",
            "#/service?namespace=default&name=web&port=tcp&protocol=TCP".to_owned(),
            "document.querySelector('#picture .flow')",
        ),
        ("refusals", "#/refusals".to_owned(), "document.querySelector('#unused details')"),
        (
            "explain",
            format!("#/explain?client={client}&destination=default/web:tcp"),
            "document.querySelector('#steps li')",
        ),
        ("node", "#/node".to_owned(), "document.querySelector('#map-rows tr')"),
    ]
}

#[test]
fn the_page_can_be_read_in_light_and_dark_and_on_a_phone() {
    if !is_there() {
        return;
    }
    let scene = scene("page-looks");
    let held = [(); 3].map(|()| scene.from_node.connect_tcp(Family::Ipv4.frontend(10)).unwrap());
    let browser = Browser::start(scene.node.netns(), DESKTOP);
    let views = views(scene.client.v4());
    for scheme in ["light", "dark"] {
        browser.chromium(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
        for (size, (width, height)) in [("desktop", DESKTOP), ("phone", PHONE)] {
            let metrics =
                json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone" });
            browser.chromium("Emulation.setDeviceMetricsOverride", &metrics);
            for (view, hash, is_shown) in &views {
                browser.open("about:blank");
                browser.open(&format!("{PAGE}{hash}"));
                browser.until(is_shown);
                let name = format!("{view}, {scheme}, {size}");
                access::check(&browser, &name);
                access::check_width(&browser, &name);
                browser.screenshot(&format!("{view}-{scheme}-{size}"));
            }
        }
        let ground = browser.run("return getComputedStyle(document.documentElement).backgroundColor");
        let is_dark = ground.as_str().unwrap().contains("(21, 19, 16");
        assert_eq!(is_dark, scheme == "dark", "{ground}");
    }
    drop(held);
}

#[test]
fn the_page_says_when_its_agent_is_gone_and_goes_on_when_it_is_back() {
    if !is_there() {
        return;
    }
    let mut scene = scene("page-gone");
    let browser = Browser::start(scene.node.netns(), DESKTOP);
    browser.open(PAGE);
    browser.until("document.querySelectorAll('#service-rows tr').length === 3");
    assert!(browser.run("return document.querySelector('#banner').hidden").as_bool().unwrap());
    scene.waggle.kill().unwrap();
    browser.until(
        "document.querySelector('#banner').innerText.startsWith('The agent does not answer. What is shown is from ')",
    );
    assert_eq!(browser.texts("#service-rows tr").len(), 3, "what was read last is still shown");
    browser.screenshot("gone");
    scene.waggle.restart().unwrap();
    browser.until("document.querySelector('#banner').hidden && !document.body.classList.contains('stale')");
}
