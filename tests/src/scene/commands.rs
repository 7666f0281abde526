//! Commands of the machine, run inside a namespace.

use std::process::Command;

use crate::lab::Netns;

/// Runs `ip` commands in a namespace.
pub fn ip(netns: &Netns, commands: &[&str]) {
    let commands: Vec<_> = commands.iter().map(ToString::to_string).collect();
    netns.batch(&commands).expect("run ip in a namespace");
}

/// Runs a command in a namespace and returns its output.
pub fn output(netns: &Netns, command: &str) -> String {
    let mut words = command.split_whitespace();
    let run = || Command::new(words.next().expect("a program")).args(words).output();
    let output = netns.inside(run).expect("enter a namespace").expect("run a command");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("output in UTF-8")
}
