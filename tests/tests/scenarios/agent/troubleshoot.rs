//! The commands of docs/troubleshoot.md can be typed on a node, as they are written there.

use std::{fs, path::Path, process::Command};

use harness::{
    lab::find_program,
    scene::{Family, expect, from_outside_by},
};

/// Returns the commands in the page's code blocks, without those for a cluster.
fn commands(page: &str) -> Vec<&str> {
    let lines = page.split("```").skip(1).step_by(2).flat_map(|block| block.lines().skip(1));
    lines.filter(|line| !line.is_empty() && !line.starts_with("kubectl ")).collect()
}

/// Returns a command line for an instance that is not called `default`, with the path of the built `waggle`.
fn of_instance(line: &str, waggle: &Path, instance: &str) -> String {
    let Some(rest) = line.strip_prefix("waggle ") else { return line.to_owned() };
    let (arguments, pipe) = rest.split_at(rest.find(" |").unwrap_or(rest.len()));
    format!("{} {arguments} --instance {instance}{pipe}", waggle.display())
}

#[test]
fn every_command_of_the_page_about_trouble_runs_on_a_node() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubleshoot.md");
    let page = fs::read_to_string(page).expect("read docs/troubleshoot.md");
    let (waggle, commands) = (find_program("waggle", "WAGGLE_BIN").expect("find waggle"), commands(&page));
    assert!(commands.len() > 20, "{commands:?}");
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
