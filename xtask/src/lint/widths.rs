//! Checks how wide the lines are that people read as text: the prose of Markdown pages, and comments in Rust files. rustfmt sees to
//! code; tables, code blocks and links can't be wrapped.

use std::fs;

use anyhow::{Context as _, Result, bail};

use super::sources::{FOLDERS, visit};
use crate::{
    cargo,
    markdown::{self, Page},
};

/// The most columns of a line.
const WIDEST: usize = 132;

/// The page that is generated from help texts.
const GENERATED: &str = "docs/reference.md";

/// Runs the check.
pub(super) fn check() -> Result<()> {
    println!("widths: lines of pages and comments have at most {WIDEST} columns");
    let pages = markdown::pages()?;
    let mut faults: Vec<String> = pages.iter().filter(|page| page.path != GENERATED).flat_map(of_page).collect();
    for folder in FOLDERS {
        visit(&cargo::root().join(folder), &["rs"], &mut |path| {
            let source = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            let name = path.strip_prefix(cargo::root()).unwrap_or(path).display().to_string();
            faults.extend(of_comments(&name, &source));
            Ok(())
        })?;
    }
    if !faults.is_empty() {
        bail!("{} lines are too wide: wrap them\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

fn of_page(page: &Page) -> Vec<String> {
    let lines = page.prose().filter(|(_, line)| !line.trim_start().starts_with('|'));
    faults(&page.path, lines)
}

fn of_comments(name: &str, source: &str) -> Vec<String> {
    let lines = (1..).zip(source.lines()).filter(|(_, line)| line.trim_start().starts_with("//"));
    faults(name, lines)
}

/// Returns the places of lines that are too wide, unless they have a link, which can't be wrapped.
fn faults<'a>(name: &str, lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<String> {
    let is_too_wide = |line: &str| line.chars().count() > WIDEST && !line.contains("](");
    lines.filter(|(_, line)| is_too_wide(line)).map(|(number, _)| format!("{name}:{number}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_that_is_too_wide_is_found_and_tables_code_and_links_are_not() {
        let wide = "word ".repeat(30);
        let text = format!("{}\n{wide}\n| {wide} |\n```\n{wide}\n```\n- {wide}[a](b.md)\n", &wide[..WIDEST]);
        let page = Page { path: "a.md".to_owned(), text };
        assert_eq!(of_page(&page), ["a.md:2"]);
    }

    #[test]
    fn comments_that_are_too_wide_are_found_and_code_is_not() {
        let wide = "word ".repeat(30);
        let source = format!("//! {wide}\nfn f() {{\n    // {wide}\n    let _ = \"{wide}\";\n}}\n");
        assert_eq!(of_comments("a.rs", &source), ["a.rs:1", "a.rs:3"]);
    }
}
