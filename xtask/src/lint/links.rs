//! Checks the links of Markdown pages: each leads to a file and an anchor that exist, and docs/SUMMARY.md lists every page once, so
//! that the book is complete. Pure, except for `check`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use crate::{
    cargo,
    markdown::{self, Page},
};

/// The table of contents of the book.
pub(crate) const SUMMARY: &str = "docs/SUMMARY.md";

/// Runs the check.
pub(super) fn check() -> Result<()> {
    println!("links: every link of a page leads somewhere, and {SUMMARY} lists every page");
    let pages = markdown::pages()?;
    let mut faults = broken(&pages, |path| cargo::root().join(path).exists());
    faults.extend(unlisted(&pages));
    if !faults.is_empty() {
        bail!("{} faults\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

/// Returns faults for links whose file or anchor does not exist.
fn broken(pages: &[Page], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        pages.iter().map(|page| (page.path.as_str(), page.anchors())).collect();
    let mut faults = Vec::new();
    for page in pages {
        for link in page.links() {
            let place = format!("{}:{}", page.path, link.line);
            let (file, anchor) = page.resolve(&link.target);
            if !exists(&file) {
                faults.push(format!("{place}: {file} does not exist"));
            } else if let Some(anchor) = anchor
                && anchors.get(file.as_str()).is_none_or(|anchors| !anchors.contains(anchor))
            {
                faults.push(format!("{place}: {file} has no anchor {anchor}"));
            }
        }
    }
    faults
}

/// Returns faults for pages that the table of contents does not list exactly once.
fn unlisted(pages: &[Page]) -> Vec<String> {
    let Some(summary) = pages.iter().find(|page| page.path == SUMMARY) else {
        return vec![format!("{SUMMARY} does not exist")];
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for link in summary.links() {
        *counts.entry(summary.resolve(&link.target).0).or_default() += 1;
    }
    let others = pages.iter().filter(|page| page.path != SUMMARY);
    let fault = |page: &Page| match counts.get(&page.path) {
        Some(1) => None,
        Some(count) => Some(format!("{SUMMARY}: {} is listed {count} times", page.path)),
        None => Some(format!("{SUMMARY}: {} is not listed", page.path)),
    };
    others.filter_map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(texts: &[(&str, &str)]) -> Vec<Page> {
        texts.iter().map(|(path, text)| Page { path: (*path).to_owned(), text: (*text).to_owned() }).collect()
    }

    #[test]
    fn links_to_files_and_anchors_that_are_not_there_are_faults() {
        let pages = pages(&[
            ("README.md", "# One\n[a](docs/a.md#two) [b](docs/b.md) [c](#one) [d](docs/a.md#one)"),
            ("docs/a.md", "## Two\n[e](../src/x.rs) [f](../src/x.rs#L1)"),
        ]);
        let expected = [
            "README.md:2: docs/b.md does not exist",
            "README.md:2: docs/a.md has no anchor one",
            "docs/a.md:2: src/x.rs has no anchor L1",
        ];
        assert_eq!(broken(&pages, |path| path != "docs/b.md"), expected);
    }

    #[test]
    fn every_page_is_listed_once() {
        let listed = pages(&[
            (SUMMARY, "- [a](a.md)\n- [b](../B.md)\n- [b](../B.md)"),
            ("B.md", ""),
            ("docs/a.md", ""),
            ("docs/c.md", ""),
        ]);
        let expected = ["docs/SUMMARY.md: B.md is listed 2 times", "docs/SUMMARY.md: docs/c.md is not listed"];
        assert_eq!(unlisted(&listed), expected);
        assert_eq!(unlisted(&listed[1..]), ["docs/SUMMARY.md does not exist"]);
    }
}
