//! The first commands in the README are the first that `.ci/run` runs.

use std::process::Command;

use super::{read, root};

#[test]
fn ci_takes_the_commands_of_a_first_try_from_the_readme() {
    let output = Command::new(root().join(".ci/readme-commands")).output().unwrap();
    let commands = String::from_utf8(output.stdout).unwrap();
    assert_eq!(commands.lines().collect::<Vec<_>>(), ["cargo xtask run", "cargo xtask test"]);
    let readme = read("README.md");
    assert!(commands.lines().all(|command| readme.lines().any(|line| line.starts_with(command))));
}

#[test]
fn ci_builds_nothing_before_the_readmes_commands() {
    let script = read(".ci/run");
    let lines: Vec<_> = script.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let reads = lines.iter().position(|line| line.contains("< <(.ci/readme-commands)")).unwrap();
    let builds = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.windows(2).any(|pair| pair[0].ends_with("cargo") && pair[1] != "is" && pair[1] != ">/dev/null;")
    };
    assert_eq!(lines[..reads].iter().find(|line| builds(line)), None);
}
