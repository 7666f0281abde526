use std::time::Instant;

use super::*;
use crate::commands::top::{
    history::{History, SAMPLES},
    number::short,
    rates::{PortRates, Rates},
};

fn rates(figures: &Figures, port: &ServicePort) -> Option<Rates> {
    let row = figures.ports.iter().find(|row| row.port == *port);
    row.unwrap_or_else(|| panic!("{port} is not shown")).rates
}

#[test]
fn rates_are_per_second_and_sum_up_families() {
    let figures = figures();
    let web_rates = Rates { connections: 12.0, packets: 0.0, bytes: 0.0 };
    let cart_rates = Rates { connections: 0.5, packets: 150.0, bytes: 10_000.0 };
    let expected = [
        PortRates { port: web(), rates: Some(web_rates), connections: 39 },
        PortRates { port: cart(), rates: Some(cart_rates), connections: 8 },
    ];
    assert_eq!(figures.ports, expected);
    assert_eq!(figures.total, Rates { connections: 12.5, packets: 150.0, bytes: 10_000.0 });
    let refused: Vec<_> = figures.refusals.iter().map(|refusals| (refusals.reason.reason, refusals.rate)).collect();
    assert_eq!(refused, [("no_backend", Some(1.0)), ("no_route", Some(0.0))]);
    assert!((figures.refused - 1.0).abs() < f64::EPSILON);
}

#[test]
fn a_counter_that_goes_down_begins_again() {
    let start = Instant::now();
    let before = sample(start, 0, &[(WEB, counted(10, 0, 0)), (CART, counted(7, 5, 5))], &[(Counter::DropNoRoute, 9)]);
    let now = sample(start, 1, &[(WEB, counted(12, 0, 0)), (CART, counted(9, 4, 9))], &[(Counter::DropNoRoute, 1)]);
    let figures = compare(&before, &now);
    assert_eq!(rates(&figures, &web()).map(|rates| rates.connections), Some(2.0));
    assert_eq!(rates(&figures, &cart()), None);
    assert_eq!(short(Some(figures.total.connections)), "2.0", "what is not known is not summed");
    assert_eq!((figures.refusals[0].rate, figures.refused), (None, 0.0));
}

#[test]
fn an_id_that_was_another_services_has_no_rate_yet() {
    let start = Instant::now();
    let mut before = sample(start, 0, &[(CART, counted(7, 0, 0))], &[]);
    before.snapshot.names.remove(&CART);
    let now = sample(start, 1, &[(CART, counted(9, 0, 0))], &[]);
    assert_eq!(rates(&compare(&before, &now), &cart()), None);
    let later = sample(start, 2, &[(CART, counted(12, 0, 0))], &[]);
    assert_eq!(rates(&compare(&now, &later), &cart()).map(|rates| rates.connections), Some(3.0));
}

#[test]
fn a_sample_alone_has_no_rates() {
    let one = sample(Instant::now(), 0, &[(WEB, counted(10, 0, 0))], &[]);
    let figures = compare(&one, &one);
    assert_eq!(rates(&figures, &web()), None);
    assert_eq!(format!("{:.1}", figures.refused), "0.0", "not -0.0");
}

#[test]
fn the_history_has_the_last_samples_of_ports_that_exist() {
    let mut history = History::default();
    let mut figures = figures();
    for number in 0..SAMPLES + 5 {
        figures.refused = if number < 5 { 99.0 } else { 1.0 };
        history.push(&figures);
    }
    assert_eq!(history.refused().collect::<Vec<_>>(), [1.0; SAMPLES]);
    assert_eq!(history.of(&cart()).flatten().filter(|rates| rates.packets > 149.0).count(), SAMPLES);
    figures.ports.retain(|row| row.port == web());
    history.push(&figures);
    assert_eq!((history.of(&cart()).count(), history.of(&web()).count()), (0, SAMPLES));
}
