//! Finds error texts that contain their cause, which is the error's source, and log lines that print an error without its
//! causes. Pure.

use super::repeated::{MACROS, arguments};

/// The attribute with an error's text.
const TEXT: &str = "#[error(";

/// Returns the lines (from 1) of error texts that contain the error's source.
pub(super) fn contained(source: &str) -> Vec<usize> {
    let contains = |start: usize| {
        let text = arguments(&source[start + TEXT.len()..]);
        let fields = &source[start + TEXT.len() + text.len()..];
        text.contains("{source") || text.contains("{0") && is_cause(first_field(fields))
    };
    source.match_indices(TEXT).filter(|(start, _)| contains(*start)).map(|(start, _)| line(source, start)).collect()
}

/// Returns the lines (from 1) of log lines that print an error itself instead of its report.
pub(super) fn forgotten(source: &str) -> Vec<usize> {
    let calls = MACROS.iter().flat_map(|name| source.match_indices(name));
    let forgets = |call: &str| ["%error", "?error", "{error}", "{error:"].iter().any(|print| call.contains(print));
    let mut found: Vec<_> = calls
        .filter(|(start, name)| forgets(arguments(&source[start + name.len()..])))
        .map(|(start, _)| line(source, start))
        .collect();
    found.sort_unstable();
    found
}

/// Returns the first field of the tuple that follows an attribute's arguments; empty if another item follows first.
fn first_field(rest: &str) -> &str {
    let item = rest.split("#[error").next().unwrap_or_default().trim_start_matches(")]");
    let fields =
        item.split_once('(').filter(|(name, _)| !name.contains(['{', '}', ','])).map_or("", |(_, fields)| fields);
    fields.split([',', '\n']).next().unwrap_or_default()
}

fn is_cause(field: &str) -> bool {
    ["#[from]", "#[source]", "Error", "Errno"].iter().any(|sign| field.contains(sign))
}

fn line(source: &str, start: usize) -> usize {
    source[..start].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_contains_its_cause_is_found() {
        for text in [
            "#[error(\"read {path}: {source}\")]\nstruct Read { path: PathBuf, source: io::Error }",
            "#[error(\n    \"open: {source:?}\"\n)]\nOpen { source: io::Error },",
            "#[error(\"drop: {0}\")]\npub struct Drop(#[from] CapsError);",
            "#[error(\"drop: {0}; run as root\")]\nDrop(io::Error),",
            "#[error(\"drop: {0}\")]\nDrop(Errno),",
        ] {
            assert_eq!(contained(text), [1], "{text}");
        }
        assert_eq!(contained("enum E {\n    #[error(\"a\")]\n    A,\n    #[error(\"{source}\")]\n    B\n}"), [4]);
    }

    #[test]
    fn a_text_without_its_cause_is_not() {
        for text in [
            "#[error(\"read {path}\")]\nstruct Read { path: PathBuf, source: io::Error }",
            "#[error(\"read {0} from the kernel\")]\nDump(&'static str, #[source] Error),",
            "#[error(\"{0:?} is not a CIDR\")]\nCidr(String),\n#[error(\"open\")]\nOpen(#[source] io::Error),",
            "#[error(transparent)]\nMaps(#[from] MapsError),",
        ] {
            assert_eq!(contained(text), [0; 0], "{text}");
        }
    }

    #[test]
    fn a_log_line_that_forgets_the_causes_is_found() {
        let source =
            "warn!(error = %Report(&error), \"no\");\nwarn!(%error, \"no\");\ndebug!(\"{error}\");\ninfo!(error);\n";
        assert_eq!(forgotten(source), [2, 3]);
    }
}
