//! The log lines that docs/troubleshoot.md quotes: its code spans with double quotes.

use std::{fs, path::Path};

use super::{read, root};

/// Appends the sources in a folder, without the line breaks inside of texts.
fn append(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            append(&entry, sources);
        } else {
            let source = fs::read_to_string(&entry).unwrap();
            source.split("\\\n").for_each(|part| sources.push_str(part.trim_start()));
        }
    }
}

#[test]
fn every_log_line_that_the_page_quotes_is_in_the_source() {
    let mut sources = String::new();
    append(&root().join("proxy-userspace/src"), &mut sources);
    let page = read("docs/troubleshoot.md");
    let spans = page.split('`').skip(1).step_by(2);
    let quoted: Vec<_> = spans.filter_map(|span| span.strip_prefix('"')?.strip_suffix('"')).collect();
    assert!(quoted.len() > 10, "{quoted:?}");
    for quote in quoted {
        let text = quote.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in text.split('…').map(str::trim) {
            assert!(sources.contains(part), "docs/troubleshoot.md quotes {quote:?}, but no source has {part:?}");
        }
    }
}
