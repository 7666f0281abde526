//! What selectors mean, and what is said of texts that are none.

use proptest::{collection::btree_set, prelude::*, sample::select};

use super::*;

fn parse(text: &str) -> Result<Selector, NotALabelSelector> {
    text.parse().map(|LabelSelector(selector)| selector)
}

fn labels(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn labels_are_selected_by_value_set_and_key() {
    let all = [
        ("web", labels(&[("app", "web"), ("tier", "front")])),
        ("db", labels(&[("app", "db"), ("example.com/tier", "back")])),
        ("odd", labels(&[("app", ""), ("in", "notin")])),
        ("bare", labels(&[])),
    ];
    for (text, expected) in [
        ("", "web db odd bare"),
        (" ", "web db odd bare"),
        ("app=web", "web"),
        ("app==web", "web"),
        ("app = web", "web"),
        ("app!=web", "db odd bare"),
        ("app=", "odd"),
        ("app=,tier", ""),
        ("app!=", "web db bare"),
        ("app in (web,db)", "web db"),
        ("app in(web, db )", "web db"),
        ("app in (,db)", "db odd"),
        ("app in (,)", "odd"),
        ("app notin (web,db)", "odd bare"),
        ("app", "web db odd"),
        ("!app", "bare"),
        ("! tier", "db odd bare"),
        ("app,!tier", "db odd"),
        ("app=web,tier in (front)", "web"),
        ("app=web,app=db", ""),
        ("example.com/tier=back", "db"),
        ("in=notin", "odd"),
        ("in in (notin)", "odd"),
        ("in", "odd"),
    ] {
        let selector: LabelSelector = text.parse().unwrap();
        let selected = all.iter().filter(|(_, labels)| selector.selects(labels)).map(|(name, _)| *name);
        assert_eq!(selected.collect::<Vec<_>>().join(" "), expected, "{text}");
        assert_eq!(selector.selects_all(), text.trim().is_empty());
    }
}

#[test]
fn what_is_no_selector_is_shown_in_its_place() {
    for (text, place, reason) in [
        (",", 1, "expected the key of a label, found ','"),
        ("app,", 5, "expected the key of a label, found the end"),
        ("app=web,,tier", 9, "expected the key of a label, found ','"),
        ("=web", 1, "expected the key of a label, found '='"),
        ("app=web tier", 9, "expected ',' or the end, found \"tier\""),
        ("app===web", 6, "expected a value, found '='"),
        ("app=!web", 5, "expected a value, found '!'"),
        ("!app=web", 5, "expected ',' or the end, found '='"),
        ("app is (web)", 5, "expected '=', '!=', 'in', 'notin', ',' or the end, found \"is\""),
        ("app>5", 4, "expected '=', '!=', 'in', 'notin', ',' or the end, found '>', which is not supported"),
        ("app in web", 8, "expected '(', found \"web\""),
        ("app in (web", 12, "expected ',' or ')', found the end"),
        ("app in (web db)", 13, "expected ',' or ')', found \"db\""),
        ("app in ()", 9, "expected a value, found ')'"),
        ("app notin ((", 12, "expected a value, found '('"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!((error.place + 1, error.reason.as_str()), (place, reason), "{text}");
    }
}

#[test]
fn keys_and_values_that_no_label_can_have_are_refused_in_their_place() {
    for (text, place, start) in [
        ("-app", 1, "\"-app\" is not the key of a label: name part must consist of"),
        ("tier,!Example.com/app", 7, "\"Example.com/app\" is not the key of a label: prefix part a lowercase RFC 1123"),
        ("app in (web,a/b)", 13, "\"a/b\" is not a value: a valid label must be an empty string or consist of"),
        ("app=ünknown", 5, "\"ünknown\" is not a value: a valid label must"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.place + 1 == place && error.reason.starts_with(start), "{text}: {error:?}");
    }
    assert!(parse(&format!("app={}", "a".repeat(63))).is_ok());
    assert!(parse(&format!("app={}", "a".repeat(64))).unwrap_err().reason.contains("no more than 63 bytes"));
}

#[test]
fn an_error_points_below_the_character() {
    let message = parse("ä=\t!b").unwrap_err().to_string();
    let expected = "at character 1: \"ä\" is not the key of a label: name part must consist of";
    assert!(message.starts_with(expected) && message.ends_with("\n  ä= !b\n  ^"), "{message}");
    let message = parse("app in (web").unwrap_err().to_string();
    let expected = "at character 12: expected ',' or ')', found the end\n  app in (web\n             ^";
    assert_eq!(message, expected);
}

fn key() -> impl Strategy<Value = String> {
    "([a-z]{1,3}(\\.[a-z0-9]{1,3}){0,2}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,5}[A-Za-z0-9])?|in|notin"
}

fn value() -> impl Strategy<Value = String> {
    "([A-Za-z0-9]([-A-Za-z0-9_.]{0,5}[A-Za-z0-9])?)?|in|notin"
}

/// A condition, and a way to write it with `gap` between the parts.
fn condition() -> impl Strategy<Value = (Expression, String)> {
    // A single empty value is written as a comma.
    let values = btree_set(value(), 1..4);
    let list = |values: &BTreeSet<String>, gap: &str| match values.iter().cloned().collect::<Vec<_>>() {
        one if one.concat().is_empty() => format!("({gap},{gap})"),
        several => format!("({gap}{}{gap})", several.join(&format!("{gap},{gap}"))),
    };
    let gap = select(vec!["", " ", "\t ", "\n"]);
    (key(), value(), values, gap, 0..7).prop_map(move |(key, value, values, gap, form)| {
        // A word ends where another begins.
        let space = if gap.is_empty() { " " } else { gap };
        match form {
            0 => (Expression::Exists(key.clone()), key),
            1 => (Expression::DoesNotExist(key.clone()), format!("!{gap}{key}")),
            2 => (Expression::Equal(key.clone(), value.clone()), format!("{key}{gap}={gap}{value}")),
            3 => (Expression::Equal(key.clone(), value.clone()), format!("{key}{gap}=={gap}{value}")),
            4 => (Expression::NotEqual(key.clone(), value.clone()), format!("{key}{gap}!={gap}{value}")),
            5 => {
                let text = format!("{key}{space}in{gap}{}", list(&values, gap));
                (Expression::In(key, values), text)
            }
            _ => {
                let text = format!("{key}{space}notin{gap}{}", list(&values, gap));
                (Expression::NotIn(key, values), text)
            }
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(conditions in proptest::collection::vec(condition(), 1..5), gap in "[ \t\n]{0,2}") {
        let (expected, texts): (Vec<_>, Vec<_>) = conditions.into_iter().unzip();
        let text = format!("{gap}{}{gap}", texts.join(&format!("{gap},{gap}")));
        prop_assert_eq!(parse(&text), Ok(expected.into_iter().collect()), "{}", text);
    }

    #[test]
    fn every_text_is_a_selector_or_has_a_fault_in_it(text in "[a!=,()<> \u{a0}ä\n-]{0,12}|in|.{0,12}") {
        match parse(&text) {
            // kube writes `!=` and sets as kubectl does, but a set of one empty value without its comma.
            Ok(selector) if !selector.to_string().contains("()") => {
                prop_assert_eq!(parse(&selector.to_string()), Ok(selector));
            }
            Ok(_) => {}
            Err(error) => {
                prop_assert!(error.place <= text.chars().count() && !error.to_string().is_empty());
            }
        }
    }
}
