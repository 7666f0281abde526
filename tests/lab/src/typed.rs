//! The commands that Markdown pages have their readers type, for the tests that type them. A code block without a language has
//! commands; one that begins with a prompt, `$ ` or `# `, also has what they print. `tests/tests/documents/typed.rs` checks that
//! each command is typed by a test.

use std::{fs, path::Path};

use super::error::{Error, Result, WithContext};

/// A command in a code block of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The text of the heading above it.
    pub heading: String,
    /// The command on one line, without a prompt and a comment.
    pub line: String,
}

/// A page with commands that tests type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// What operators look at.
    Commands,
    /// How to install by kubectl.
    Deploy,
    /// What would happen to a connection.
    Explain,
    /// How to install.
    Install,
    /// What is in the maps.
    Maps,
    /// The program's own help.
    Reference,
    /// A machine without a cluster.
    Standalone,
    /// Symptoms.
    Troubleshoot,
}

impl Page {
    /// Every page.
    pub const ALL: [Self; 8] = [
        Self::Commands,
        Self::Deploy,
        Self::Explain,
        Self::Install,
        Self::Maps,
        Self::Reference,
        Self::Standalone,
        Self::Troubleshoot,
    ];

    /// Returns the page's path in the repository.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Commands => "docs/commands.md",
            Self::Deploy => "deploy/README.md",
            Self::Explain => "docs/explain.md",
            Self::Install => "docs/install.md",
            Self::Maps => "docs/maps.md",
            Self::Reference => "docs/reference.md",
            Self::Standalone => "docs/standalone.md",
            Self::Troubleshoot => "docs/troubleshoot.md",
        }
    }

    /// Reads the page.
    pub fn text(self) -> Result<String> {
        read(self.path())
    }

    /// Returns the commands below a heading that begin with `start`. It is an error if they are not as many as the caller types:
    /// then the page has changed, and the test has to follow.
    pub fn commands<const COUNT: usize>(self, heading: &str, start: &str) -> Result<[String; COUNT]> {
        let is_wanted = |command: &Command| command.heading == heading && command.line.starts_with(start);
        let found: Vec<_> = all(self.path())?.into_iter().filter(is_wanted).map(|command| command.line).collect();
        found.try_into().map_err(|found| Error::Commands {
            page: self.path(),
            heading: heading.to_owned(),
            start: start.to_owned(),
            wanted: COUNT,
            found,
        })
    }
}

/// Returns all commands of a page, which is named by its path in the repository.
pub fn all(page: &str) -> Result<Vec<Command>> {
    Ok(parse(&read(page)?))
}

/// Returns the repository's folder.
pub fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}

fn read(page: &str) -> Result<String> {
    fs::read_to_string(repository().join(page)).with_context(|| format!("read {page}"))
}

fn parse(text: &str) -> Vec<Command> {
    let (mut commands, mut heading) = (Vec::new(), "");
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            if language.is_empty() {
                commands.extend(of_block(&block).map(|line| Command { heading: heading.to_owned(), line }));
            }
        } else if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim();
        }
    }
    commands
}

/// Returns the commands of a block.
fn of_block(block: &[&str]) -> impl Iterator<Item = String> {
    const PROMPTS: [&str; 2] = ["$ ", "# "];
    let prompt = PROMPTS.into_iter().find(|prompt| block.first().is_some_and(|line| line.starts_with(prompt)));
    let typed: Vec<_> = block.iter().filter_map(|line| line.strip_prefix(prompt.unwrap_or_default())).collect();
    let joined = typed.join("\n").replace("\\\n", "");
    let lines: Vec<_> =
        joined.lines().map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()).collect();
    lines.into_iter().filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# One\n`no` command\n```\na --b   # why\n\nc \\\n  d\n```\n## Two\n```text\nno command\n```\n\
                        1. In a list:\n   ```\n   # e | f\n   printed\n   # g\n   ```\n";

    #[test]
    fn commands_are_in_blocks_without_a_language() {
        let found = parse(PAGE).into_iter().map(|command| (command.heading, command.line));
        let expected = [("One", "a --b"), ("One", "c d"), ("Two", "e | f"), ("Two", "g")];
        assert_eq!(found.collect::<Vec<_>>(), expected.map(|(heading, line)| (heading.to_owned(), line.to_owned())));
    }

    #[test]
    fn another_number_of_commands_is_an_error() {
        let error = Page::Install.commands::<2>("With Helm", "helm install").unwrap_err();
        assert!(error.to_string().starts_with("docs/install.md, \"With Helm\": 1 commands begin with"), "{error}");
        assert!(Page::Install.commands::<1>("With Helm", "helm install").is_ok());
    }
}
