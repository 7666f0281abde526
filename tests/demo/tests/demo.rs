//! The demo from a newcomer's view: it shows what the examples promise, and leaves nothing behind.

use std::{
    fs,
    process::{Command, Stdio},
};

#[test]
fn demo_shows_every_example_as_it_says_and_cleans_up() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    let demo = command.arg("--once").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let prefix = format!("wl{}-", demo.id());
    let output = demo.wait_with_output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("all 17 lines are as their examples say"), "{shown}");
    assert!(!shown.contains('\x1b'), "plain text when piped");
    for folder in ["/sys/fs/bpf/waggle", "/run/netns"] {
        let left = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with(&prefix)).collect();
        assert!(left.is_empty(), "{folder} still has {left:?}");
    }
}
