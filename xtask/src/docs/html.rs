//! Checks the links of HTML files, such as mdbook makes: each leads to a file and an id that exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::lint;

/// The page that servers show for what they don't have. Its links begin at the server's root.
const NOT_FOUND: &str = "404.html";

/// Returns the links of all pages in a folder that lead nowhere: the page, and the link.
pub(super) fn broken(folder: &Path) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    lint::visit(folder, &["html"], &mut |path| {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        pages.insert(path.to_owned(), text);
        Ok(())
    })?;
    let ids: BTreeMap<&PathBuf, BTreeSet<&str>> =
        pages.iter().map(|(path, text)| (path, values(text, " id=\"").collect())).collect();
    let mut broken = Vec::new();
    for (path, text) in pages.iter().filter(|(path, _)| !path.ends_with(NOT_FOUND)) {
        let links = values(text, " href=\"").chain(values(text, " src=\""));
        for link in links.filter(|link| !link.contains(':') && !link.is_empty()) {
            let (file, id) = link.split_once('#').map_or((link, None), |(file, id)| (file, Some(id)));
            let target = if file.is_empty() { path.clone() } else { resolve(path, file) };
            let has_id = |id| ids.get(&target).is_none_or(|ids| ids.contains(id));
            if !target.exists() || id.is_some_and(|id| !id.is_empty() && !has_id(id)) {
                broken.push(format!("{}: {link}", path.strip_prefix(folder).unwrap_or(path).display()));
            }
        }
    }
    Ok(broken)
}

/// Returns the values of an attribute.
fn values<'a>(text: &'a str, attribute: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next())
}

/// Returns the file that a page's link leads to.
fn resolve(page: &Path, link: &str) -> PathBuf {
    let mut target = page.parent().unwrap_or(page).to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => {
                target.pop();
            }
            Component::Normal(name) => target.push(name),
            _ => {}
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_and_ids_that_are_not_there_are_found() {
        let folder = std::env::temp_dir().join(format!("waggle-html-{}", std::process::id()));
        fs::create_dir_all(folder.join("b")).unwrap();
        let page = "<a href=\"b/c.html#one\"><a href=\"b/c.html#two\"><a href=\"d.html\"><a href=\"#x\" id=\"x\"><a href=\"https://a.b/\">";
        fs::write(folder.join("a.html"), page).unwrap();
        fs::write(folder.join("b/c.html"), "<h1 id=\"one\"></h1> <img src=\"../a.html\"> <img src=\"a.html\">")
            .unwrap();
        let found = broken(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found.unwrap(), ["a.html: b/c.html#two", "a.html: d.html", "b/c.html: a.html"]);
    }
}
