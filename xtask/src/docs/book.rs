//! Makes the book: copies the pages to `target/book/src`, with the folders of the repository, so that their links keep working, and
//! the files that they link. mdbook then makes HTML of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::html;
use crate::{
    cargo, command,
    lint::SUMMARY,
    markdown::{self, Page},
};

/// Makes the book and checks its links. Returns its first page.
pub(super) fn build(mdbook: &Path) -> Result<PathBuf> {
    let folder = cargo::root().join("target/book");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    let pages = markdown::pages()?;
    for page in &pages {
        let path = if page.path == SUMMARY { "SUMMARY.md" } else { &page.path };
        write(&folder.join("src").join(path), &of_book(page, |path| cargo::root().join(path).is_dir()))?;
        copy_linked(page, &folder.join("src"))?;
    }
    write(&folder.join("book.toml"), &fs::read_to_string(cargo::root().join("docs/book.toml"))?)?;
    command::run(Command::new(mdbook).arg("build").arg(&folder))?;
    let broken = html::broken(&folder.join("html"))?;
    if !broken.is_empty() {
        bail!("{} links of the book lead nowhere\n  {}", broken.len(), broken.join("\n  "));
    }
    Ok(folder.join("html/index.html"))
}

/// Returns a page's text for the book. Links of the table of contents begin at the repository's folder. Links to folders become
/// their text, since a book has no pages for folders. mdbook calls a README index, but does not change links to it.
fn of_book(page: &Page, is_folder: impl Fn(&str) -> bool) -> String {
    let mut text = page.text.clone();
    for link in page.links() {
        let (path, _) = page.resolve(&link.target);
        let whole = format!("]({})", link.target);
        if page.path == SUMMARY {
            text = text.replace(&whole, &format!("]({path})"));
        } else if path.ends_with("README.md") {
            text = text.replace(&whole, &whole.replace("README.md", "index.md"));
        } else if is_folder(&path)
            && let Some((before, after)) = text.clone().split_once(&whole)
            && let Some((before, label)) = before.rsplit_once('[')
        {
            text = format!("{before}{label}{after}");
        }
    }
    text
}

/// Copies the files that a page links and that are no pages.
fn copy_linked(page: &Page, folder: &Path) -> Result<()> {
    for link in page.links() {
        let (path, _) = page.resolve(&link.target);
        let (from, to) = (cargo::root().join(&path), folder.join(&path));
        if from.is_file() && from.extension().is_none_or(|extension| extension != "md") {
            make_parent(&to)?;
            fs::copy(&from, &to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    make_parent(path)?;
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().context("a path of the book has a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, text: &str) -> String {
        of_book(&Page { path: path.to_owned(), text: text.to_owned() }, |path| path == "fuzz")
    }

    #[test]
    fn the_table_of_contents_begins_at_the_repositorys_folder() {
        let text = "- [Read](../README.md)\n- [Maps](maps.md)\n";
        assert_eq!(shown(SUMMARY, text), "- [Read](README.md)\n- [Maps](docs/maps.md)\n");
    }

    #[test]
    fn links_to_a_readme_lead_to_the_page_that_mdbook_makes_of_it() {
        assert_eq!(
            shown("docs/a.md", "[b](../README.md#c), [d](adr/README.md)"),
            "[b](../index.md#c), [d](adr/index.md)"
        );
    }

    #[test]
    fn links_to_folders_become_text() {
        assert_eq!(shown("docs/a.md", "see [b](b.md), [fuzz/](../fuzz)."), "see [b](b.md), fuzz/.");
    }
}
