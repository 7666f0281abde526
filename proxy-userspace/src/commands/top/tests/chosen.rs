use clap::Parser as _;

use super::*;
use crate::commands::{
    cli::{Cli, Command, TopArgs},
    fetch_labels::ReportedLabels,
    get::KnownLabels,
    top::history::History,
};

fn args(line: &str) -> TopArgs {
    match Cli::parse_from(["waggle", "top"].into_iter().chain(line.split_whitespace())).command {
        Command::Top(args) => args,
        other => panic!("{other:?}"),
    }
}

/// The labels of the Services `default/web` and `shop/cart`.
fn labels(web: &[(&str, &str)], cart: &[(&str, &str)]) -> ReportedLabels {
    let owned = |labels: &[(&str, &str)]| labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let known =
        KnownLabels::new([("default/web".to_owned(), owned(web)), ("shop/cart".to_owned(), owned(cart))].into());
    ReportedLabels { known, tag: None }
}

/// What a command line chooses, with labels `app` of both Services.
fn chosen(line: &str) -> Chosen {
    let mut chosen = Chosen::new(&args(line)).unwrap();
    chosen.set_labels(labels(&[("app", "web")], &[("app", "cart"), ("tier", "back")]));
    chosen
}

fn figures_of(chosen: &Chosen) -> Figures {
    let [before, now] = samples();
    Figures::compare(&before, &now, chosen)
}

fn shown(line: &str) -> Vec<String> {
    figures_of(&chosen(line)).ports.iter().map(|row| row.port.to_string()).collect()
}

#[test]
fn services_are_chosen_by_names_namespace_and_labels() {
    const WEB: &str = "default/web:http";
    const CART: &str = "shop/cart";
    for (line, expected) in [
        ("", &[WEB, CART][..]),
        ("-A", &[WEB, CART]),
        ("web", &[WEB]),
        ("svc/cart", &[CART]),
        ("default/web shop/cart", &[WEB, CART]),
        ("default/cart", &[]),
        ("-n shop", &[CART]),
        ("-n shop web", &[]),
        ("-l app=web", &[WEB]),
        ("-l app,tier!=back", &[WEB]),
        ("-l tier -n shop", &[CART]),
        ("-l app=web cart", &[]),
        ("-l app=none", &[]),
        ("-l !app", &[]),
    ] {
        assert_eq!(shown(line), expected, "{line}");
    }
}

#[test]
fn totals_are_those_of_chosen_services_and_refusals_stay() {
    for line in ["cart", "-n shop", "-l tier"] {
        let figures = figures_of(&chosen(line));
        assert_eq!(figures.total, figures.ports[0].rates.unwrap(), "{line}");
        assert_eq!(figures.refusals, super::figures().refusals, "{line}");
    }
    let none = figures_of(&chosen("-n other"));
    assert_eq!((none.total, none.refused), (Figures::default().total, super::figures().refused));
}

#[test]
fn labels_are_only_needed_where_they_choose() {
    assert!(Chosen::new(&args("-l app")).unwrap().needs_labels());
    for line in ["", "web", "-n shop"] {
        assert!(!Chosen::new(&args(line)).unwrap().needs_labels(), "{line}");
    }
    let mut everything = args("");
    everything.selector = Some("".parse().unwrap());
    assert!(!Chosen::new(&everything).unwrap().needs_labels(), "it selects everything");
}

#[test]
fn labels_that_change_choose_other_services() {
    let mut chosen = chosen("-l app=web");
    chosen.set_labels(labels(&[], &[("app", "web")]));
    assert!(chosen.has(&cart()) && !chosen.has(&web()));
}

#[test]
fn the_history_shows_what_the_table_shows_after_labels_have_changed() {
    let (mut chosen, mut history) = (chosen("-l app=web"), History::default());
    let before = figures_of(&chosen);
    history.replace_last(&figures_of(&chosen));
    assert_eq!(history.total().count(), 0, "there is no sample yet");
    history.push(&figures_of(&chosen));
    history.push(&figures_of(&chosen));
    chosen.set_labels(labels(&[], &[("app", "web")]));
    let now = figures_of(&chosen);
    history.replace_last(&now);
    assert_eq!(history.total().collect::<Vec<_>>(), [before.total, now.total]);
    assert_eq!(history.refused().count(), 2);
    assert_eq!((history.of(&web()).count(), history.of(&cart()).flatten().count()), (0, 1));
}

#[test]
fn a_service_without_names_in_the_maps_has_no_labels() {
    let mut unknown = samples()[1].clone();
    unknown.snapshot.names.remove(&CART);
    let ports = |line| Figures::compare(&unknown, &unknown, &chosen(line)).ports.len();
    assert_eq!([ports(""), ports("-l !none")], [2, 1]);
}

#[test]
fn names_that_are_not_in_force_are_an_error_whatever_their_labels() {
    let sample = &samples()[0];
    let message = |line| chosen(line).check(sample).map_err(|error| error.to_string());
    for line in ["", "-n other", "web cart", "web -l app=none"] {
        assert_eq!(message(line), Ok(()), "{line}");
    }
    for (line, name) in [("web db", "db"), ("shop/web", "shop/web"), ("-n shop svc/web", "shop/web")] {
        let expected = format!("find Service {name}: it is not in force; `waggle get services` lists those that are");
        assert_eq!(message(line), Err(expected));
    }
}
