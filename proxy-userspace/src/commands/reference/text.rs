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

/// Marks up a text for the terminal: flags, paths and names of fields, metrics and maps become code, numbers of rules become links.
/// What is code already stays as it is.
pub(super) fn marked(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        if index % 2 == 1 {
            return format!("`{part}`");
        }
        part.split(' ').map(marked_word).collect::<Vec<_>>().join(" ")
    });
    parts.collect()
}

fn marked_word(word: &str) -> String {
    let begin = word.trim_start_matches('(');
    let bare = begin.trim_end_matches([',', ';', ':', '.', ')']);
    let (before, after) = (&word[..word.len() - begin.len()], &begin[bare.len()..]);
    let is_rule = bare.strip_prefix(['S', 'N', 'W']).is_some_and(|number| number.parse::<u8>().is_ok());
    let is_code = bare.starts_with(['/', '<']) || bare.starts_with("--") || bare.contains(['_', '.', '=']);
    let marked_up = match bare {
        rule if is_rule => format!("[{rule}](semantics.md#{})", rule.to_lowercase()),
        code if is_code => format!("`{code}`"),
        plain => plain.to_owned(),
    };
    [before, &marked_up, after].concat()
}

/// Replaces what a page has between the comments that begin and end the generated text `name`. Panics if it lacks them.
pub(super) fn filled(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->\n");
    let Some((before, rest)) = page.split_once(&begin) else { panic!("the page lacks {begin}") };
    let Some((_, after)) = rest.split_once(end) else { panic!("{begin} has no {end}") };
    [before, &begin, "\n", text, "\n", end, after].concat()
}

#[test]
fn plain_words_are_marked_up() {
    let plain = "1 if /livez responds 200 (S32, --max-…); of SOCKET_CONNECTIONS: `waggle get a_b` is S.";
    let marked_up = "1 if `/livez` responds 200 ([S32](semantics.md#s32), `--max-…`); of `SOCKET_CONNECTIONS`: `waggle get a_b` is S.";
    assert_eq!(marked(plain), marked_up);
}

#[test]
fn a_part_of_a_page_is_replaced() {
    let page = "a\n<!-- generated: b -->\nc\n<!-- end -->\nd\n<!-- generated: e -->\n<!-- end -->\n";
    let filled_page = "a\n<!-- generated: b -->\n\nf\n\n<!-- end -->\nd\n<!-- generated: e -->\n<!-- end -->\n";
    assert_eq!(filled(page, "b", "f\n"), filled_page);
    assert_eq!(filled(filled_page, "b", "f\n"), filled_page);
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
