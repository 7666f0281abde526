//! The programs' budget: how many instructions the verifier processes for each, kept in a committed file so that
//! growth is noticed. Pure: text and numbers in, faults out.

use std::{collections::BTreeMap, fmt::Write as _};

/// Instructions by program.
pub type Counts = BTreeMap<String, u32>;

/// By how many percent a count may exceed the committed one.
const GROWTH: u64 = 10;

/// The text before the kernel series in the file's comment.
const KERNEL: &str = "kernel: ";

/// The committed file's text: the kernel series that it was measured on, and the counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// `6.18`: counts of another series are not comparable.
    pub kernel: String,
    /// One line each.
    pub counts: Counts,
}

impl Committed {
    /// Reads the file: `# kernel: 6.18`, other comments, and lines `program count`.
    ///
    /// # Panics
    /// When the text is not such a file: it is part of the source.
    pub fn parse(text: &str) -> Self {
        let mut comments = text.lines().filter_map(|line| line.strip_prefix('#'));
        let kernel = comments.find_map(|comment| comment.trim().strip_prefix(KERNEL));
        let kernel = kernel.expect("a comment names the kernel series").trim().to_owned();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let count = |line: &str| {
            let (program, count) = line.split_once(' ')?;
            Some((program.to_owned(), count.trim().parse().ok()?))
        };
        let counts = lines.map(|line| count(line).unwrap_or_else(|| panic!("not `program count`: {line}"))).collect();
        Self { kernel, counts }
    }

    /// The faults of `measured`: programs that have grown too much, are not in the file, or no longer exist.
    pub fn faults(&self, measured: &Counts) -> Vec<String> {
        let known = |(program, count): (&String, &u32)| match self.counts.get(program) {
            None => Some(format!("{program} ({count} instructions) is not in the file")),
            Some(old) if too_much(*old, *count) => {
                Some(format!("{program} grew by more than {GROWTH} %: from {old} to {count} instructions"))
            }
            Some(_) => None,
        };
        let gone = self.counts.keys().filter(|program| !measured.contains_key(*program));
        measured.iter().filter_map(known).chain(gone.map(|program| format!("{program} is no longer there"))).collect()
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let mut text = format!(
            "# Instructions that the verifier walks through for each program, logging off. Other kernels count otherwise\n\
             # and are not compared; on this one, a growth of more than {GROWTH} % fails a test. After a change that is worth\n\
             # it: WAGGLE_UPDATE_INSTRUCTIONS=1 cargo xtask test verified_instructions\n\
             # {KERNEL}{}\n",
            self.kernel
        );
        for (program, count) in &self.counts {
            writeln!(text, "{program} {count}").expect("write to a string");
        }
        text
    }
}

fn too_much(old: u32, new: u32) -> bool {
    u64::from(new) * 100 > u64::from(old) * (100 + GROWTH)
}

/// `6.18.44-amd64` → `6.18`
pub fn series(release: &str) -> String {
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(counts: &[(&str, u32)]) -> Committed {
        Committed { kernel: "6.18".into(), counts: self::counts(counts) }
    }

    fn counts(counts: &[(&str, u32)]) -> Counts {
        counts.iter().map(|(program, count)| ((*program).to_owned(), *count)).collect()
    }

    #[test]
    fn growth_beyond_a_tenth_is_a_fault() {
        let file = committed(&[("a", 1000), ("b", 1000), ("c", 1000)]);
        let faults = file.faults(&counts(&[("a", 1100), ("b", 1101), ("c", 10)]));
        assert_eq!(faults, ["b grew by more than 10 %: from 1000 to 1101 instructions"]);
    }

    #[test]
    fn file_and_object_name_the_same_programs() {
        let faults = committed(&[("a", 1), ("gone", 1)]).faults(&counts(&[("a", 1), ("new", 7)]));
        assert_eq!(faults, ["new (7 instructions) is not in the file", "gone is no longer there"]);
    }

    #[test]
    fn the_file_is_read_as_it_is_written() {
        let file = committed(&[("a", 12), ("b", 3)]);
        assert_eq!(Committed::parse(&file.render()), file);
        assert_eq!(file.kernel, series("6.18.44-fc"));
    }
}
