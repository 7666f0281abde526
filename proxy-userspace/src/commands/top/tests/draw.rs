use ratatui::{Terminal, backend::TestBackend, buffer::Cell, crossterm::event::KeyCode, style::Color};

use super::*;
use crate::commands::top::{
    backends::BackendShare,
    draw::{Theme, draw},
    state::{State, View},
};

fn view() -> View {
    let mut view = View { figures: figures(), ..View::default() };
    view.history.push(&view.figures);
    view
}

/// The state after these keys.
fn after(view: &View, keys: &[KeyCode]) -> State {
    let mut state = State::default();
    for key in keys {
        state.press((*key).into(), view);
    }
    state
}

fn terminal(view: &View, state: &State, size: (u16, u16), is_coloured: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame, view, state, Theme { is_coloured })).unwrap();
    terminal
}

/// The lines of the screen, without spaces at their ends.
fn lines(view: &View, state: &State, size: (u16, u16)) -> Vec<String> {
    let terminal = terminal(view, state, size, true);
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(size.0.into());
    rows.map(|row| row.iter().map(Cell::symbol).collect::<String>().trim_end().to_owned()).collect()
}

#[test]
fn services_are_listed_between_graphs() {
    let expected = [
        "connections/s 12.5─── packets/s 150──────── bytes/s 10.0k──────── refused/s 1.0────────",
        "                    █                     █                     █                     █",
        "                    █                     █                     █                     █",
        "                    █                     █                     █                     █",
        "Services by connections/s──────────────────────────────────────────────────────────────",
        "SERVICE           PROTOCOL  CONNECTIONS/S  PACKETS/S  BYTES/S  TOTAL",
        "default/web:http  TCP                12.0          0        0     39",
        "shop/cart         TCP                 0.5        150    10.0k      8",
        "",
        "",
        "",
        "",
        "",
        "default/web:http: connections/s 12.0, at mo packets/s 0────────── bytes/s 0────────────",
        "                                          █",
        "                                          █",
        "                                          █",
        "q quit  ↑↓ choose  Enter backends  Tab refusals  s sort  / filter  ? help",
    ];
    let view = view();
    assert_eq!(lines(&view, &after(&view, &[]), (87, 18)), expected);
    let page = include_str!("../../../../../docs/commands.md");
    for same in [expected[5], expected[17]] {
        assert!(page.lines().any(|line| line == same), "docs/commands.md shows another line than {same}");
    }
}

#[test]
fn backends_are_shown_with_their_chances_and_flows() {
    let mut view = view();
    let backend = |last: u8, local: Option<f64>, flows| BackendShare {
        address: format!("10.1.0.{last}:8080"),
        is_local: local.is_some(),
        cluster: Some(0.5),
        local,
        flows,
    };
    view.backends = vec![backend(2, Some(1.0), Some(3)), backend(1, None, Some(1))];
    let state = after(&view, &[KeyCode::Enter]);
    let shown = lines(&view, &state, (90, 8));
    let expected = [
        "Backends of default/web:http TCP: chance to be chosen, and open flows─────────────────────",
        "BACKEND        LOCAL  CHANCE: CLUSTER  CHANCE: LOCAL  OPEN FLOWS  SHARE",
        "10.1.0.2:8080  yes              50.0%         100.0%           3  75.0%",
        "10.1.0.1:8080  -                50.0%              -           1  25.0%",
    ];
    assert_eq!(shown[..4], expected);
    view.backends = vec![backend(2, Some(1.0), None)];
    assert!(lines(&view, &state, (90, 8))[2].ends_with("          -      -"), "flows that are not read are not none");
}

#[test]
fn refusals_say_what_they_mean() {
    let mut view = view();
    let state = after(&view, &[KeyCode::Tab]);
    let expected = [
        "Refused packets and calls by reason─────────────────────────────────────────────────",
        "REASON      VERDICT  REFUSED/S  TOTAL  MEANING",
        "no_backend  reject         1.0      5  No usable backend anywhere (S16)",
        "no_route    drop             0      9  The routing table refuses the destination",
    ];
    assert_eq!(lines(&view, &state, (84, 8))[..4], expected);
    view.figures.refusals.clear();
    assert!(lines(&view, &state, (84, 8))[0].starts_with("Nothing has been refused"));
}

#[test]
fn what_has_no_room_is_cut_at_the_end_or_left_out() {
    let mut view = view();
    let columns = |view: &View, keys: &[KeyCode], width| {
        let shown = lines(view, &after(view, keys), (width, 4));
        shown[1..3].to_vec()
    };
    assert_eq!(
        columns(&view, &[], 40),
        ["SERVICE          PROTOCOL  CONNECTIONS/S", "default/web:htt  TCP                12.0"]
    );
    assert_eq!(columns(&view, &[], 16), ["SERVICE", "default/web:http"]);
    let meaning = "REASON      VERDICT  REFUSED/S  TOTAL  MEANING";
    assert_eq!(columns(&view, &[KeyCode::Tab], 60)[0], meaning);
    assert!(columns(&view, &[KeyCode::Tab], 60)[1].ends_with("  5  No usable backend any"));
    view.figures.refusals.clear();
    assert_eq!(columns(&view, &[KeyCode::Tab], 8)[0], "REASON");
}

#[test]
fn the_chosen_line_is_always_on_the_screen() {
    let mut view = view();
    let row = view.figures.ports[0].clone();
    view.figures.ports = (0..40)
        .map(|number| {
            let mut row = row.clone();
            row.port.name = format!("web-{number:02}");
            row
        })
        .collect();
    for (keys, first, last) in [(0, "web-00", "web-06"), (20, "web-17", "web-23"), (39, "web-33", "web-39")] {
        let state = after(&view, &vec![KeyCode::Down; keys]);
        let shown = lines(&view, &state, (80, 10));
        let has = |line: usize, name: &str| shown[line].contains(name);
        assert!(has(2, first) && has(8, last), "after {keys} keys: {shown:#?}");
    }
}

#[test]
fn a_small_screen_keeps_the_list_and_the_keys() {
    let view = view();
    let state = after(&view, &[]);
    let shown = lines(&view, &state, (40, 4));
    assert!(shown[0].starts_with("Services by connections/s") && shown[3].starts_with("q quit"), "{shown:#?}");
    for size in [(1, 1), (3, 2), (20, 7), (300, 100)] {
        for key in [KeyCode::Tab, KeyCode::Enter, KeyCode::Char('?')] {
            lines(&view, &after(&view, &[key]), size);
        }
    }
}

#[test]
fn a_look_that_fails_is_noted_below_what_was_read_before() {
    let mut view = view();
    view.stale = Some(("open pinned map services".to_owned(), 3));
    let shown = lines(&view, &after(&view, &[]), (80, 8));
    assert_eq!(shown[6], "not read for 3 s, trying again: open pinned map services");
    assert!(shown.iter().any(|line| line.starts_with("default/web:http ")), "{shown:#?}");
    view.stale_labels = Some(("no agent answers at 127.0.0.1:10249".to_owned(), 4));
    let of_labels = "labels are 4 s old, asking again: no agent answers at 127.0.0.1:10249";
    let both = lines(&view, &after(&view, &[]), (80, 8));
    assert_eq!((both[5].as_str(), both[6].as_str()), (shown[6].as_str(), of_labels));
    view.stale = None;
    assert_eq!(lines(&view, &after(&view, &[]), (80, 8))[5..7], [String::new(), of_labels.to_owned()]);
}

#[test]
fn the_help_explains_the_numbers_and_the_keys() {
    let view = view();
    let shown = lines(&view, &after(&view, &[KeyCode::Char('?')]), (80, 24)).join("\n");
    for part in
        ["any key closes this page", "filter by a part of the name", "connections/s  new connections", "or dropped"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn a_filter_is_shown_while_it_is_typed_and_afterwards() {
    let view = view();
    let keys = [KeyCode::Char('/'), KeyCode::Char('c'), KeyCode::Char('a')];
    let shown = lines(&view, &after(&view, &keys), (80, 6));
    assert!(shown[0].starts_with("Services by connections/s, those with \"ca\": 1 of 2"), "{shown:#?}");
    assert!(shown[5].starts_with("/ca  Enter keeps the filter"), "{shown:#?}");
}

#[test]
fn without_colours_there_are_none() {
    let mut view = view();
    view.stale = Some(("gone".to_owned(), 3));
    let colours = |is_coloured| {
        let terminal = terminal(&view, &State::default(), (100, 20), is_coloured);
        let cells = terminal.backend().buffer().content().iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert!(colours(true) > 0);
    assert_eq!(colours(false), 0);
}
