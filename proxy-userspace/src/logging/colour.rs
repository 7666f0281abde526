//! Whether output is coloured.

use std::ffi::OsStr;

/// True if output should be coloured: on terminals, unless `no_color`, the variable NO_COLOR, is set and not empty
/// (no-color.org).
pub fn is_wanted(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_and_not_for_those_who_refuse_it() {
        assert!(is_wanted(true, None));
        assert!(is_wanted(true, Some(OsStr::new(""))));
        assert!(!is_wanted(true, Some(OsStr::new("0"))));
        assert!(!is_wanted(false, None));
    }
}
