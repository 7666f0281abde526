//! Formats topics and what is said of them, in lines that fit a terminal. Pure.

use serde::Serialize;

/// The most characters in a line, unless a word is longer.
const WIDTH: usize = 120;

/// What is said of a topic, each sentence on a line of its own.
#[derive(Clone, Debug, Serialize)]
pub struct Topic {
    /// The topic.
    pub name: String,
    /// The sentences.
    pub lines: Vec<String>,
}

/// Formats topics in two columns. Every line ends with a newline. What continues a long line is indented.
pub fn columns(topics: &[Topic]) -> String {
    let indent = topics.iter().map(|topic| topic.name.chars().count()).max().unwrap_or_default();
    let mut text = Vec::new();
    for topic in topics {
        let lines = topic.lines.iter().flat_map(|line| wrap(line, WIDTH.saturating_sub(indent + 2)));
        for (index, line) in lines.enumerate() {
            let name = if index == 0 { topic.name.as_str() } else { "" };
            text.push(format!("{name:indent$}  {line}\n"));
        }
    }
    text.concat()
}

/// Breaks a line between words. Continuations begin with two spaces.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let length = lines.last().map_or(0, |last| last.chars().count());
        let is_full =
            length + 1 + word.chars().count() > width && !lines.last().is_none_or(|last| last.trim().is_empty());
        if is_full {
            lines.push(format!("  {word}"));
        } else if let Some(last) = lines.last_mut() {
            if length != 0 {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_continued_below_their_begin() {
        assert_eq!(wrap("a bb ccc dddd", 8), ["a bb ccc", "  dddd"]);
        assert_eq!(wrap("a  b", 8), ["a  b"], "columns stay");
        assert_eq!(wrap("abcdefghijkl m", 8), ["abcdefghijkl", "  m"]);
        let topic =
            |name: &str, line: &str| Topic { name: name.to_owned(), lines: vec![line.to_owned(), "z".to_owned()] };
        assert_eq!(columns(&[topic("one", "x"), topic("three", "y")]), "one    x\n       z\nthree  y\n       z\n");
        let long = columns(&[topic("one", &"word ".repeat(50))]);
        assert!(long.lines().all(|line| line.chars().count() <= WIDTH), "{long}");
    }
}
