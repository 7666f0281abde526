//! The log lines that docs/troubleshoot.md quotes: its code spans with double quotes.

use super::{read, sources};

#[test]
fn every_log_line_that_the_page_quotes_is_in_the_source() {
    let sources = sources(&["proxy-userspace/src"]);
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
