use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::commands::top::state::{Next, Screen, Sort, State, View, by_rate};

fn view() -> View {
    View { figures: figures(), ..View::default() }
}

fn press(state: &mut State, view: &View, keys: &[KeyCode]) {
    for key in keys {
        assert_eq!(state.press(KeyEvent::from(*key), view), Next::Continue, "{key}");
    }
}

fn names(state: &State, view: &View) -> Vec<String> {
    state.rows(&view.figures).iter().map(|row| row.port.name.clone()).collect()
}

#[test]
fn services_are_sorted_by_what_is_asked_for() {
    let (mut state, view) = (State::default(), view());
    for (sort, first) in
        [(Sort::Connections, "web"), (Sort::Packets, "cart"), (Sort::Bytes, "cart"), (Sort::Name, "web")]
    {
        assert_eq!((state.sort, names(&state, &view)[0].as_str()), (sort, first));
        press(&mut state, &view, &[KeyCode::Char('s')]);
    }
    assert_eq!(state.sort, Sort::Connections);
}

#[test]
fn a_chosen_service_stays_chosen_wherever_it_is() {
    let (mut state, mut view) = (State::default(), view());
    assert_eq!(state.subject(&view), Some(web()), "the first one is chosen at first");
    press(&mut state, &view, &[KeyCode::Down, KeyCode::Char('j')]);
    assert_eq!((state.position(&view), state.subject(&view)), (1, Some(cart())), "there is no third one");
    press(&mut state, &view, &[KeyCode::Char('s')]);
    assert_eq!((state.position(&view), state.subject(&view)), (0, Some(cart())));
    press(&mut state, &view, &[KeyCode::End]);
    assert_eq!(state.subject(&view), Some(web()));
    view.figures.ports.retain(|row| row.port != web());
    assert_eq!(state.subject(&view), Some(cart()), "the chosen one is gone");
    view.figures.ports.clear();
    assert_eq!((state.position(&view), state.subject(&view)), (0, None));
    press(&mut state, &view, &[KeyCode::Down, KeyCode::Enter]);
    assert_eq!(state.screen, Screen::Services, "there is nothing to open");
}

#[test]
fn enter_opens_backends_and_escape_goes_back() {
    let (mut state, view) = (State::default(), view());
    press(&mut state, &view, &[KeyCode::Down, KeyCode::Enter]);
    assert_eq!((state.screen.clone(), state.subject(&view)), (Screen::Backends(cart()), Some(cart())));
    press(&mut state, &view, &[KeyCode::Down, KeyCode::Char('s'), KeyCode::Char('/')]);
    assert_eq!((state.sort, state.is_filtering), (Sort::Connections, false), "these keys are for Services");
    press(&mut state, &view, &[KeyCode::Esc]);
    assert_eq!((state.screen.clone(), state.position(&view)), (Screen::Services, 1));
    press(&mut state, &view, &[KeyCode::Tab, KeyCode::Down]);
    assert_eq!((state.screen.clone(), state.position(&view), state.subject(&view)), (Screen::Refusals, 1, None));
    press(&mut state, &view, &[KeyCode::Tab]);
    assert_eq!(state.screen, Screen::Services);
}

#[test]
fn a_filter_lists_services_by_a_part_of_their_names() {
    let (mut state, view) = (State::default(), view());
    let typed = ["/", "q", "s"].map(|key| KeyCode::Char(key.chars().next().unwrap()));
    press(&mut state, &view, &typed);
    assert_eq!((state.filter.as_str(), names(&state, &view)), ("qs", Vec::new()), "letters are no commands");
    press(&mut state, &view, &[KeyCode::Backspace, KeyCode::Backspace, KeyCode::Char('h'), KeyCode::Char('o')]);
    assert_eq!(names(&state, &view), ["cart"], "shop/cart");
    press(&mut state, &view, &[KeyCode::Enter, KeyCode::Char('s')]);
    assert_eq!((state.sort, names(&state, &view)), (Sort::Packets, vec!["cart".to_owned()]));
    press(&mut state, &view, &[KeyCode::Esc]);
    assert_eq!(names(&state, &view), ["cart", "web"]);
}

#[test]
fn any_key_closes_the_help_and_only_then_means_something() {
    let (mut state, view) = (State::default(), view());
    press(&mut state, &view, &[KeyCode::Char('?')]);
    assert!(state.is_helping);
    press(&mut state, &view, &[KeyCode::Char('q')]);
    assert!(!state.is_helping);
    assert_eq!(state.press(KeyEvent::from(KeyCode::Char('q')), &view), Next::Quit);
}

#[test]
fn ctrl_c_quits_everywhere_and_other_keys_with_control_do_nothing() {
    let view = view();
    for keys in [&[][..], &[KeyCode::Char('?')], &[KeyCode::Char('/')], &[KeyCode::Enter]] {
        let mut state = State::default();
        press(&mut state, &view, keys);
        let with_control = |character| KeyEvent::new(KeyCode::Char(character), KeyModifiers::CONTROL);
        assert_eq!(state.press(with_control('q'), &view), Next::Continue);
        assert_eq!(state.press(with_control('c'), &view), Next::Quit);
    }
}

#[test]
fn reasons_that_apply_most_often_come_first() {
    let mut figures = figures();
    let reasons = |figures: &Figures| by_rate(figures).iter().map(|one| one.reason.reason).collect::<Vec<_>>();
    assert_eq!(reasons(&figures), ["no_backend", "no_route"]);
    figures.refusals[0].rate = None;
    assert_eq!(reasons(&figures), ["no_route", "no_backend"], "of equal rates the larger number is first");
}
