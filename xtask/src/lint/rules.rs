//! Checks the citations of docs/semantics.md: every rule that the repository cites exists there, and every rule there has a
//! test. Pure, except for `check`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
};

use anyhow::{Context as _, Result, bail};

use super::sources::{self, FOLDERS};
use crate::cargo;

/// The file with the rules.
const RULEBOOK: &str = "docs/semantics.md";

/// Documents that cite rules, in addition to the folders with Rust.
const DOCUMENTS: [&str; 6] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "deploy"];

/// This file, which is not searched, since its unit tests cite rules that do not exist.
const ITSELF: &str = "xtask/src/lint/rules.rs";

/// The mark of a rule that can't have a test yet; the reason follows it.
const MARK: &str = "(no test: ";

/// The number of a rule (S) or of a case from the field (W, F, N).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    letter: char,
    number: u8,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.letter, self.number)
    }
}

/// All rules; the value is true for a rule that is marked as one without a test.
type Rulebook = BTreeMap<Rule, bool>;

/// Runs the check.
pub(super) fn check() -> Result<()> {
    println!("rules: every cited rule exists in {RULEBOOK}, and every rule there has a test");
    let text = fs::read_to_string(cargo::root().join(RULEBOOK)).with_context(|| format!("read {RULEBOOK}"))?;
    let (rulebook, mut faults) = read(&text);
    let mut tested = BTreeSet::new();
    for place in FOLDERS.iter().chain(&DOCUMENTS) {
        sources::visit(&cargo::root().join(place), &["rs", "md", "yaml"], &mut |path| {
            let source = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            let name = path.strip_prefix(cargo::root()).unwrap_or(path).display().to_string();
            if name != ITSELF {
                faults.extend(unknown(&name, &source, &rulebook));
                tested.extend(source.lines().filter(|_| is_rust(&name)).flat_map(in_test_names));
            }
            Ok(())
        })?;
    }
    faults.extend(untested(&rulebook, &tested));
    if !faults.is_empty() {
        bail!("{} faults\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

/// Reads the rules. A rule extends from its anchor to the next one or to a heading. Also returns faults of the anchors.
fn read(text: &str) -> (Rulebook, Vec<String>) {
    let (mut rulebook, mut faults) = (Rulebook::new(), Vec::new());
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let Some((id, title)) = anchor(line) else { continue };
        let Some(rule) = cited_by(&id.to_uppercase()) else { continue };
        let mut body = title.to_owned();
        while let Some((_, more)) = lines.next_if(|(_, line)| !line.starts_with('#') && anchor(line).is_none()) {
            body = format!("{body} {}", more.trim());
        }
        let place = format!("{RULEBOOK}:{}", index + 1);
        if words(title).find(|word| !word.is_empty()).and_then(cited_by) != Some(rule) {
            faults.push(format!("{place}: the anchor {id} is not before {rule}"));
        }
        if rulebook.insert(rule, body.contains(MARK)).is_some() {
            faults.push(format!("{place}: {rule} is defined twice"));
        }
    }
    (rulebook, faults)
}

/// Returns the id of a line's anchor, and the text after it.
fn anchor(line: &str) -> Option<(&str, &str)> {
    line.split_once("<a id=\"")?.1.split_once("\"></a>")
}

/// Returns faults for cited rules that the rulebook lacks: in comments, in documents and in the names of tests.
fn unknown(name: &str, source: &str, rulebook: &Rulebook) -> Vec<String> {
    let cites = |line| {
        let comment = comment(name, line).into_iter().flat_map(words).filter_map(cited_by);
        comment.chain(is_rust(name).then(|| in_test_names(line)).into_iter().flatten()).collect::<Vec<_>>()
    };
    let lines =
        source.lines().enumerate().flat_map(|(index, line)| cites(line).into_iter().map(move |rule| (index, rule)));
    let unknown = lines.filter(|(_, rule)| !rulebook.contains_key(rule));
    unknown.map(|(index, rule)| format!("{name}:{}: {rule} is not in {RULEBOOK}", index + 1)).collect()
}

/// Returns faults for rules that have neither a test nor a mark, or both.
fn untested(rulebook: &Rulebook, tested: &BTreeSet<Rule>) -> Vec<String> {
    let fault = |(rule, is_marked): (&Rule, &bool)| match (is_marked, tested.contains(rule)) {
        (false, false) => Some(format!("{RULEBOOK}: {rule} has neither a test nor the mark \"{MARK}reason)\"")),
        (true, true) => Some(format!("{RULEBOOK}: {rule} has a test: remove its mark \"{MARK}…)\"")),
        _ => None,
    };
    rulebook.iter().filter_map(fault).collect()
}

fn extension(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

fn is_rust(name: &str) -> bool {
    extension(name) == "rs"
}

/// Returns the prose in a line: the whole line of a document, or the comment in source code.
fn comment<'a>(name: &str, line: &'a str) -> Option<&'a str> {
    let start = match extension(name) {
        "md" => return Some(line),
        "rs" => "//",
        _ => "#",
    };
    line.split_once(start).map(|(_, comment)| comment)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c != '_' && !c.is_alphanumeric())
}

/// Returns the rule that a word of prose cites: `S24`.
fn cited_by(word: &str) -> Option<Rule> {
    let letter = word.chars().next().filter(|c| matches!(c, 'S' | 'W' | 'F' | 'N'))?;
    let digits = &word[1..];
    rule(letter, digits).filter(|_| !digits.starts_with('0'))
}

fn rule(letter: char, digits: &str) -> Option<Rule> {
    let is_number = matches!(digits.len(), 1 | 2) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|number| is_number && *number > 0)?;
    Some(Rule { letter, number })
}

/// Returns the rules that the tests on a line are named after: functions, and rows of tables, whose names are strings.
fn in_test_names(line: &str) -> impl Iterator<Item = Rule> {
    let functions = line.split("fn ").skip(1);
    let rows = line.split('"').skip(1).step_by(2);
    functions.chain(rows).flat_map(|text| of_name(words(text).next().unwrap_or_default()))
}

/// Returns the rules that a test's name begins with: `s24_s25_…`, `w07_…`, `n03_…`, `field_s05_…` (F5).
fn of_name(name: &str) -> Vec<Rule> {
    let (is_field, mut rest) = name.strip_prefix("field_").map_or((false, name), |rest| (true, rest));
    let mut rules = Vec::new();
    while let Some((part, behind)) = rest.split_once('_').filter(|(_, behind)| !behind.is_empty()) {
        let letter = match part.chars().next() {
            Some('s') if is_field => 'F',
            Some('s') => 'S',
            Some('w') if part.len() == 3 => 'W',
            Some('n') if part.len() == 3 => 'N',
            _ => break,
        };
        let Some(rule) = rule(letter, &part[1..]) else { break };
        rules.push(rule);
        rest = behind;
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "### <a id=\"s1\"></a>S1: One\n\nIt holds.\n### <a id=\"s32\"></a>S32: Ports\n\nThey answer. (no test: not\n\
                        served)\n## Cases\n- <a id=\"w7\"></a>**W7**: A reset.\n- <a id=\"f5\"></a>**F5**: A list.\n";

    fn of(rules: &[Rule]) -> Vec<String> {
        rules.iter().map(ToString::to_string).collect()
    }

    fn named(line: &str) -> Vec<String> {
        of(&in_test_names(line).collect::<Vec<_>>())
    }

    #[test]
    fn rules_are_read_with_their_marks() {
        let (rulebook, faults) = read(TEXT);
        assert_eq!(faults, Vec::<String>::new());
        let marks: Vec<_> = rulebook.iter().map(|(rule, is_marked)| (rule.to_string(), *is_marked)).collect();
        let expected = [("F5", false), ("S1", false), ("S32", true), ("W7", false)];
        assert_eq!(marks, expected.map(|(rule, is_marked)| (rule.to_owned(), is_marked)));
    }

    #[test]
    fn anchors_that_lie_are_faults() {
        let text = "### <a id=\"s2\"></a>S24: Two\n- <a id=\"s3\"></a>**S3**: a\n- <a id=\"s3\"></a>**S3**: b\n";
        let expected =
            ["docs/semantics.md:1: the anchor s2 is not before S2", "docs/semantics.md:3: S3 is defined twice"];
        assert_eq!(read(text).1, expected);
    }

    #[test]
    fn cites_in_comments_documents_and_test_names_must_be_known() {
        let (rulebook, _) = read(TEXT);
        let source = "let S9 = 1; // (S1, S8)\n    fn s7_w07_a_test() {}\n";
        let expected = ["a.rs:1: S8 is not in docs/semantics.md", "a.rs:2: S7 is not in docs/semantics.md"];
        assert_eq!(unknown("a.rs", source, &rulebook), expected);
        assert_eq!(unknown("a.md", "S1…S40\n", &rulebook), ["a.md:1: S40 is not in docs/semantics.md"]);
        assert_eq!(unknown("a.yaml", "a: S9 # W7, N1\n", &rulebook), ["a.yaml:1: N1 is not in docs/semantics.md"]);
    }

    #[test]
    fn what_only_looks_like_a_cite_is_none() {
        let text = "S_IFMT N S S0 S01 S100 S1x xS1 s1 T1 IPv4 S² 8S1 Größe";
        assert_eq!(words(text).filter_map(cited_by).collect::<Vec<_>>(), []);
    }

    #[test]
    fn tests_are_functions_and_rows() {
        assert_eq!(named("    fn s24_s25_clients_stay() {"), ["S24", "S25"]);
        assert_eq!(named("row(\"s1_a\", x), row(\"w07_b\", \"field_s05_c\")"), ["S1", "W7", "F5"]);
        assert_eq!(named("async fn n01_n03_a() {}"), ["N1", "N3"]);
    }

    #[test]
    fn other_names_are_no_tests() {
        assert_eq!(named("fn n1_address() { s24_call(); }"), Vec::<String>::new());
        assert_eq!(named("&[\"s26_\", \"s26\", \"s100_a\", \"sa_b\"]"), Vec::<String>::new());
    }

    #[test]
    fn rules_without_tests_and_marks_with_tests_are_faults() {
        let (rulebook, _) = read(TEXT);
        let tested = ["fn s1_a", "fn s32_b", "fn w07_c"].into_iter().flat_map(in_test_names).collect();
        let faults = untested(&rulebook, &tested);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("F5 has neither a test") && faults[1].contains("S32 has a test"), "{faults:?}");
    }
}
