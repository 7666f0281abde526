//! Reads SPDX licence expressions. Pure.

/// Whether the expression can be satisfied with allowed licences alone: one side of `OR`, both of `AND`.
///
/// `WITH` belongs to the licence before it, and `A/B` is the old way to write `A OR B`. `AND` binds tighter
/// than `OR`. An expression that can't be read is not allowed.
pub(super) fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = Words { words: &spaced.split_whitespace().collect::<Vec<_>>(), allowed };
    words.any() == Some(true) && words.words.is_empty()
}

struct Words<'a> {
    words: &'a [&'a str],
    allowed: &'a [&'a str],
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn skip(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    fn any(&mut self) -> Option<bool> {
        let mut result = self.all()?;
        while self.skip("OR") {
            result |= self.all()?;
        }
        Some(result)
    }

    fn all(&mut self) -> Option<bool> {
        let mut result = self.one()?;
        while self.skip("AND") {
            result &= self.one()?;
        }
        Some(result)
    }

    fn one(&mut self) -> Option<bool> {
        let word = self.next()?;
        if word == "(" {
            let result = self.any()?;
            return self.skip(")").then_some(result);
        }
        if self.skip("WITH") {
            let with = format!("{word} WITH {}", self.next()?);
            return Some(self.allowed.contains(&with.as_str()) || self.allowed.contains(&word));
        }
        Some(self.allowed.contains(&word))
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    const ALLOWED: [&str; 2] = ["MIT", "Apache-2.0"];

    #[test]
    fn one_side_of_or_is_enough() {
        assert!(is_allowed("GPL-3.0 OR MIT", &ALLOWED));
        assert!(is_allowed("MIT/GPL-3.0", &ALLOWED));
        assert!(!is_allowed("GPL-3.0 OR ISC", &ALLOWED));
    }

    #[test]
    fn both_sides_of_and_are_needed() {
        assert!(is_allowed("MIT AND Apache-2.0", &ALLOWED));
        assert!(!is_allowed("MIT AND ISC", &ALLOWED));
        assert!(is_allowed("(MIT OR ISC) AND Apache-2.0", &ALLOWED));
        assert!(!is_allowed("(MIT OR Apache-2.0) AND ISC", &ALLOWED));
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert!(is_allowed("MIT OR ISC AND GPL-3.0", &ALLOWED));
        assert!(is_allowed("ISC AND GPL-3.0 OR MIT", &ALLOWED));
    }

    #[test]
    fn an_exception_only_adds_rights() {
        assert!(is_allowed("Apache-2.0 WITH LLVM-exception", &ALLOWED));
        assert!(is_allowed("X WITH Y", &["X WITH Y"]));
        assert!(!is_allowed("X WITH Z", &["X WITH Y"]));
    }

    #[test]
    fn what_cannot_be_read_is_not_allowed() {
        for broken in ["", "MIT OR", "(MIT", "MIT Apache-2.0", "MIT)", "OR MIT"] {
            assert!(!is_allowed(broken, &ALLOWED), "{broken}");
        }
    }
}
