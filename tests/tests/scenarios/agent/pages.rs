//! The commands of pages for operators can be typed on a node, as they are written there, and print what transcripts show: the
//! titles of tables and lines, and the words around numbers.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use harness::{
    lab::{Client, Node, find_program},
    scene::{Family, expect, from_outside_by, until},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// The pages, and what their commands begin with: in commands.md, what follows is a transcript.
const PAGES: [(&str, &str); 3] = [("commands.md", "# "), ("operate.md", ""), ("troubleshoot.md", "")];

/// Pages with commands that other tests type: those for a cluster, and those that write a file and read it.
const OTHERS: [(&str, &str); 3] =
    [("troubleshoot.md", "kubectl "), ("commands.md", "tshark "), ("commands.md", "waggle capture")];

/// The command that goes on until Ctrl-C and prints a table.
const MONITOR: &str = "waggle monitor";

/// A port of the Service that it does not serve.
const UNSERVED: u16 = 81;

/// A command in a page's code block, with the lines that the page shows of its output.
struct Typed<'a> {
    command: &'a str,
    shown: Vec<&'a str>,
}

/// Returns the commands in a page's code blocks.
fn typed<'a>(page: &'a str, prompt: &str) -> Vec<Typed<'a>> {
    let mut all = Vec::new();
    for block in page.split("```").skip(1).step_by(2) {
        let mut of_block: Vec<Typed<'a>> = Vec::new();
        for line in block.lines().skip(1) {
            match line.strip_prefix(prompt).filter(|command| !command.is_empty()) {
                Some(command) => of_block.push(Typed { command, shown: Vec::new() }),
                None => {
                    if let Some(last) = of_block.last_mut() {
                        last.shown.push(line);
                    }
                }
            }
        }
        all.extend(of_block);
    }
    all
}

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page)).expect("read a page")
}

/// Returns the commands of a page that no other test types.
fn own<'a>(page: &str, text: &'a str, prompt: &str) -> Vec<Typed<'a>> {
    let mut commands = typed(text, prompt);
    commands.retain(|typed| !OTHERS.iter().any(|(of, start)| *of == page && typed.command.starts_with(start)));
    commands
}

/// Whether a line has the titles of a table.
fn has_titles(line: &str) -> bool {
    let is_title = |word: &str| word.chars().all(|char| char.is_ascii_uppercase() || char == '/');
    line.split_whitespace().count() > 1 && line.split_whitespace().all(is_title)
}

/// Returns what is the same whenever a command runs: the titles of tables, and what stands before a table, without its numbers;
/// where there is no table, the titles of lines.
fn titles_and_words<'a>(lines: &[&'a str]) -> BTreeSet<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = || lines.iter().copied().filter(|line| !line.is_empty());
    if !lines().any(has_titles) {
        let titles = lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once("  "));
        return titles.map(|(title, _)| title.to_owned()).collect();
    }
    let is_number = |char: char| char.is_ascii_digit() || char == '.';
    let numberless = |line: &'a str| words(line).split(is_number).filter(|part| !part.is_empty()).collect::<String>();
    let before = lines().take_while(|line| !has_titles(line)).map(numberless);
    before.chain(lines().filter(|line| has_titles(line)).map(words)).collect()
}

/// Returns the names of the fields in a line of JSON, which a page may have broken.
fn fields(lines: &[&str]) -> BTreeSet<String> {
    let object: Value = serde_json::from_str(&lines.concat()).expect("an object in JSON");
    object.as_object().into_iter().flat_map(|object| object.keys().cloned()).collect()
}

/// Returns a command line for an instance that is not called `default`, with the path of the built `waggle`.
fn of_instance(line: &str, waggle: &Path, instance: &str) -> String {
    let Some(rest) = line.strip_prefix("waggle ") else { return line.to_owned() };
    let (arguments, pipe) = rest.split_at(rest.find(" |").unwrap_or(rest.len()));
    // It looks at the machine, not at an instance.
    let instance = if arguments == "check" { String::new() } else { format!(" --instance {instance}") };
    format!("{} {arguments}{instance}{pipe}", waggle.display())
}

/// Types commands on a node.
struct Terminal<'a> {
    node: &'a Node,
    waggle: PathBuf,
}

impl Terminal<'_> {
    fn shell(&self, line: &str) -> Command {
        let mut shell = Command::new("sh");
        // Signals then reach the command, not a shell around it.
        let exec = if line.starts_with(MONITOR) { "exec " } else { "" };
        shell.args(["-c", &format!("{exec}{}", of_instance(line, &self.waggle, &self.node.instance()))]);
        shell
    }

    /// Runs a command to its end, which must be a good one, and returns what it prints.
    fn run(&self, line: &str) -> String {
        let run = || self.shell(line).output();
        let output = self.node.netns().inside(run).expect("enter the node").expect("start a shell");
        let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {errors}{printed}");
        printed.into_owned()
    }

    /// Returns the first line that `waggle monitor` prints. `client` makes events meanwhile: it dials `refusing`.
    fn first_line(&self, line: &str, client: &Client, refusing: SocketAddr) -> String {
        let spawn = || self.shell(line).stdout(Stdio::piped()).spawn();
        let process = self.node.netns().inside(spawn).expect("enter the node").expect("start a shell");
        let mut process = Monitor(process);
        let output = process.0.stdout.take().expect("its output is piped");
        let reader = thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        until("a line of waggle monitor", || {
            client.tcp(refusing).expect_err("nothing is served there");
            reader.is_finished()
        });
        kill(Pid::from_raw(process.0.id().cast_signed()), Signal::SIGINT).expect("interrupt it");
        assert!(process.0.wait().expect("it ends").success(), "{line}");
        reader.join().expect("read").expect("read a line")
    }
}

/// A running `waggle monitor`, which ends at the latest when this is dropped.
struct Monitor(Child);

impl Drop for Monitor {
    fn drop(&mut self) {
        // It has ended unless the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_command_of_the_pages_runs_on_a_node() {
    let pages = PAGES.map(|(page, _)| read(page));
    let commands: Vec<_> =
        PAGES.iter().zip(&pages).flat_map(|((page, prompt), text)| own(page, text, prompt)).collect();
    let lines: BTreeSet<_> = commands.iter().map(|typed| typed.command).collect();
    assert!(lines.len() > 30, "{lines:?}");
    let waggle = find_program("waggle", "WAGGLE_BIN").expect("find waggle");
    from_outside_by("auto", "trouble", |outside| {
        let mut objects = outside.web_of_both();
        objects[0]["metadata"]["labels"] = json!({ "app": "web", "tier": "front" });
        for object in &objects {
            outside.scene.put(object);
        }
        expect(&outside.client, outside.node_port(Family::Ipv4), &["far", "p1"]);
        let terminal = Terminal { node: &outside.scene.node, waggle };
        let mut refusing = Family::Ipv4.frontend(1);
        refusing.set_port(UNSERVED);
        let mut compared = 0;
        for line in lines {
            let printed = if line.starts_with(MONITOR) {
                terminal.first_line(line, &outside.scene.from_pod, refusing)
            } else {
                terminal.run(line)
            };
            // A terminal shows messages, too, which are not in the output.
            let has_output = |typed: &&Typed| typed.shown.iter().any(|line| !line.starts_with("waggle: "));
            for Typed { shown, .. } in commands.iter().filter(|typed| typed.command == line).filter(has_output) {
                let printed: Vec<_> = printed.lines().collect();
                let of = if line.ends_with("json") { fields } else { titles_and_words };
                let (wanted, seen) = (of(shown), of(&printed));
                assert!(
                    !wanted.is_empty() && wanted.is_subset(&seen),
                    "{line}: {wanted:?}, but it prints {printed:#?}"
                );
                compared += 1;
            }
        }
        assert!(compared >= 6, "{compared} transcripts");
    });
}
