//! The repository's Markdown pages: what they link, and which anchors they have. Reads files only in `pages`.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result};

use crate::{cargo, lint};

/// The pages, and the folders that have pages.
pub(crate) const PLACES: [&str; 6] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "deploy", "docs"];

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The path from the repository's folder: `docs/maps.md`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A link of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The number of its line.
    pub(crate) line: usize,
    /// The target as the page has it.
    pub(crate) target: String,
}

/// Reads every page.
pub(crate) fn pages() -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    for place in PLACES {
        lint::visit(&cargo::root().join(place), &["md"], &mut |path| {
            let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            let path = path.strip_prefix(cargo::root()).unwrap_or(path).display().to_string();
            pages.push(Page { path, text });
            Ok(())
        })?;
    }
    Ok(pages)
}

impl Page {
    /// Returns the lines outside of code blocks, with their numbers.
    pub(crate) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_code = false;
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            (!is_code && !is_fence).then_some((index + 1, line))
        })
    }

    /// Returns the links to other pages, files and anchors of the repository.
    pub(crate) fn links(&self) -> Vec<Link> {
        let links = self.prose().flat_map(|(line, text)| {
            let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            targets.map(move |target| Link { line, target: target.to_owned() })
        });
        links.filter(|link| !link.target.contains("://") && !link.target.starts_with("mailto:")).collect()
    }

    /// Returns the anchors that links can name: those of headings, as GitHub and mdbook make them, and those of HTML.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        for (_, line) in self.prose() {
            anchors.extend(line.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            let heading = line.trim_start_matches('#');
            if heading.len() < line.len() && heading.starts_with(' ') {
                let slug = slug(heading);
                let same = (1..).map(|number| format!("{slug}-{number}"));
                let unused = std::iter::once(slug.clone()).chain(same).find(|slug| !anchors.contains(slug));
                anchors.extend(unused);
            }
        }
        anchors
    }

    /// Returns the path from the repository's folder that a link's target leads to, without its anchor, and the anchor.
    pub(crate) fn resolve<'a>(&self, target: &'a str) -> (String, Option<&'a str>) {
        let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
        if file.is_empty() {
            return (self.path.clone(), anchor);
        }
        let mut parts: Vec<&str> = self.path.split('/').collect();
        parts.pop();
        for part in file.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part != ".." {
                parts.push(part);
            } else if parts.pop().is_none() {
                return (format!("../{file}"), anchor);
            }
        }
        (parts.join("/"), anchor)
    }
}

/// Returns a heading's anchor.
fn slug(heading: &str) -> String {
    // Of a link in a heading only the text counts; HTML does not count.
    let mut text = heading.trim().to_owned();
    while let Some((before, rest)) = text.split_once('<') {
        let Some((_, after)) = rest.split_once('>') else { break };
        text = format!("{before}{after}");
    }
    while let Some((before, rest)) = text.split_once("](") {
        let Some((_, after)) = rest.split_once(')') else { break };
        text = format!("{before}{after}");
    }
    let kept = |c: char| match c {
        '-' | '_' => Some(c),
        ' ' => Some('-'),
        _ => c.is_alphanumeric().then_some(c),
    };
    text.to_lowercase().chars().filter_map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, text: &str) -> Page {
        Page { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn links_are_found_outside_of_code_and_without_those_of_the_web() {
        let page = page("docs/a.md", "[a](b.md), [c](#d)\n```\n[no](code)\n```\n[e\nf](../g.md#h) [i](https://j.k)\n");
        let found: Vec<_> = page.links().into_iter().map(|link| (link.line, link.target)).collect();
        assert_eq!(found, [(1, "b.md".to_owned()), (1, "#d".to_owned()), (6, "../g.md#h".to_owned())]);
    }

    #[test]
    fn anchors_are_those_of_github_and_of_html() {
        let text = "# Title\n## What `waggle get` shows: [all](b.md)!\n### <a id=\"s1\"></a>S1: One\n## Title\n#no\n```\n# code\n```\n";
        let found: Vec<_> = page("a.md", text).anchors().into_iter().collect();
        assert_eq!(found, ["s1", "s1-one", "title", "title-1", "what-waggle-get-shows-all"]);
    }

    #[test]
    fn targets_are_resolved_from_the_folder_of_the_page() {
        let page = page("docs/adr/0001.md", "");
        assert_eq!(page.resolve("../maps.md#flows"), ("docs/maps.md".to_owned(), Some("flows")));
        assert_eq!(page.resolve("./0002.md"), ("docs/adr/0002.md".to_owned(), None));
        assert_eq!(page.resolve("../../README.md"), ("README.md".to_owned(), None));
        assert_eq!(page.resolve("#here"), ("docs/adr/0001.md".to_owned(), Some("here")));
        assert_eq!(page.resolve("../../../out").0, "../../../../out");
    }
}
