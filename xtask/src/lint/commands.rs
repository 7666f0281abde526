//! Checks that the commands of `cargo xtask` that pages name are commands, with arguments that exist. Pure, except for `check`.

use anyhow::{Result, bail};
use clap::{Parser as _, error::ErrorKind};

use crate::{
    Arguments,
    markdown::{self, Page},
};

const PROGRAM: &str = "cargo xtask ";

/// Runs the check.
pub(super) fn check() -> Result<()> {
    println!("commands: every `{}` command that a page names exists", PROGRAM.trim());
    let faults: Vec<String> = markdown::pages()?.iter().flat_map(unknown).collect();
    if !faults.is_empty() {
        bail!("{} faults\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

/// Returns faults for commands that can't be parsed. A command may lack arguments, since prose only names it.
fn unknown(page: &Page) -> Vec<String> {
    let lines = page.text.lines().enumerate();
    let commands = lines.flat_map(|(index, line)| line.split(PROGRAM).skip(1).map(move |rest| (index + 1, rest)));
    let fault = |(line, rest): (usize, &str)| {
        let command = rest.split(['`', '#', ';', ',', ')']).next().unwrap_or_default().trim();
        let words = ["cargo xtask"].into_iter().chain(command.split_whitespace());
        let error = Arguments::try_parse_from(words).err()?;
        let is_known = matches!(
            error.kind(),
            ErrorKind::DisplayHelp
                | ErrorKind::MissingRequiredArgument
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        (!is_known).then(|| format!("{}:{line}: `{PROGRAM}{command}`: {:?}", page.path, error.kind()))
    };
    commands.filter_map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_do_not_exist_are_faults() {
        let text = "`cargo xtask lint`, and `cargo xtask vm` or\ncargo xtask test s24_    # one test\n\
                    `cargo xtask lnt`; cargo xtask vm 5.4\n";
        let page = Page { path: "a.md".to_owned(), text: text.to_owned() };
        let expected = ["a.md:3: `cargo xtask lnt`: InvalidSubcommand", "a.md:3: `cargo xtask vm 5.4`: InvalidValue"];
        assert_eq!(unknown(&page), expected);
    }
}
