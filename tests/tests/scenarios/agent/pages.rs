//! The commands of pages for operators can be typed on a node, as they are written there.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use harness::{
    lab::find_program,
    scene::{Family, expect, from_outside_by},
};

/// The pages, and what their commands begin with: in commands.md, what follows is a transcript.
const PAGES: [(&str, &str); 3] = [("commands.md", "# "), ("operate.md", ""), ("troubleshoot.md", "")];

/// Commands that have tests of their own: those for a cluster, and those that go on until Ctrl-C.
const OTHERS: [&str; 4] = ["kubectl ", "tshark ", "waggle capture", "waggle monitor"];

/// Returns the commands in a page's code blocks, without those of [`OTHERS`].
fn commands<'a>(page: &'a str, prompt: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = page.split("```").skip(1).step_by(2).flat_map(|block| block.lines().skip(1));
    let lines = lines.filter_map(move |line| line.strip_prefix(prompt));
    lines.filter(|line| !line.is_empty() && !OTHERS.iter().any(|other| line.starts_with(other)))
}

/// Returns a command line for an instance that is not called `default`, with the path of the built `waggle`.
fn of_instance(line: &str, waggle: &Path, instance: &str) -> String {
    let Some(rest) = line.strip_prefix("waggle ") else { return line.to_owned() };
    let (arguments, pipe) = rest.split_at(rest.find(" |").unwrap_or(rest.len()));
    // It looks at the machine, not at an instance.
    let instance = if arguments == "check" { String::new() } else { format!(" --instance {instance}") };
    format!("{} {arguments}{instance}{pipe}", waggle.display())
}

#[test]
fn every_command_of_the_pages_runs_on_a_node() {
    let pages = PAGES.map(|(page, prompt)| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
        (fs::read_to_string(path).expect("read a page"), prompt)
    });
    let commands: BTreeSet<_> = pages.iter().flat_map(|(page, prompt)| commands(page, prompt)).collect();
    let waggle = find_program("waggle", "WAGGLE_BIN").expect("find waggle");
    assert!(commands.len() > 30, "{commands:?}");
    from_outside_by("auto", "trouble", |outside| {
        outside.web_of_both().iter().for_each(|object| outside.scene.put(object));
        expect(&outside.client, outside.node_port(Family::Ipv4), &["far", "p1"]);
        let node = &outside.scene.node;
        for line in &commands {
            let typed = of_instance(line, &waggle, &node.instance());
            let run = || Command::new("sh").args(["-c", &typed]).output();
            let output = node.netns().inside(run).expect("enter the node").expect("start a shell");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {errors}{}", String::from_utf8_lossy(&output.stdout));
        }
    });
}
