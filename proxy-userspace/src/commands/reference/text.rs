//! Markdown with wrapped lines.

/// The most characters in a line that is wrapped here. Pages may have two more.
const WIDTH: usize = 130;

/// Returns an item of a list, with lines of at most [`WIDTH`] characters where the words allow that.
pub(super) fn item(text: &str) -> String {
    wrapped("- ", "  ", text)
}

/// Returns a paragraph, with lines of at most [`WIDTH`] characters where the words allow that.
pub(super) fn paragraph(text: &str) -> String {
    wrapped("", "", text)
}

/// Wraps text between words. The first line begins with `first`, further ones with `indent`.
fn wrapped(first: &str, indent: &str, text: &str) -> String {
    let (mut lines, mut line, mut is_empty) = (String::new(), first.to_owned(), true);
    for word in text.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.extend([&line, "\n"]);
            (line, is_empty) = (indent.to_owned(), true);
        }
        line.extend([if is_empty { "" } else { " " }, word]);
        is_empty = false;
    }
    lines + &line + "\n"
}

/// Returns a row of a table.
pub(super) fn row<const N: usize>(cells: [&str; N]) -> String {
    format!("| {} |\n", cells.map(|cell| cell.replace('|', r"\|")).join(" | "))
}

/// Returns the first two lines of a table.
pub(super) fn titles<const N: usize>(titles: [&str; N]) -> String {
    row(titles) + "|" + &"---|".repeat(N) + "\n"
}

/// Returns a sentence that ends with a full stop.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', ':', '?', '!']) { text.to_owned() } else { format!("{text}.") }
}

#[test]
fn items_are_wrapped_between_words() {
    let text = item(&"word ".repeat(60));
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    assert!(text.lines().skip(1).all(|line| line.starts_with("  word")) && text.starts_with("- word"), "{text}");
    assert_eq!(text.matches("word").count(), 60);
    assert_eq!(item("one"), "- one\n");
    assert_eq!(item(&"x".repeat(200)).lines().count(), 1, "a long word is not cut");
    assert_eq!(paragraph("one  two\nthree"), "one two three\n");
}
