//! Finds log lines that contain a value twice: in the message and as a field. Pure.

/// The logging macros.
pub(super) const MACROS: [&str; 5] = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];

/// Returns the fields that the message of the same call repeats, as pairs of line (from 1) and field name.
pub(super) fn repeated(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for name in MACROS {
        for (start, _) in source.match_indices(name) {
            let call = arguments(&source[start + name.len()..]);
            let line = source[..start].lines().count().max(1);
            found.extend(repeated_in(call).map(|field| (line, field.to_owned())));
        }
    }
    found.sort();
    found
}

/// Returns the text up to the parenthesis that closes a call, ignoring parentheses in strings.
pub(super) fn arguments(rest: &str) -> &str {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for (index, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = in_string,
            '"' => in_string = !in_string,
            '(' if !in_string => depth += 1,
            ')' if !in_string && depth == 0 => return &rest[..index],
            ')' if !in_string => depth -= 1,
            _ => {}
        }
    }
    rest
}

/// Returns the fields of a call that its message repeats. Fields come before the message, which is the first string.
fn repeated_in(call: &str) -> impl Iterator<Item = &str> {
    let (fields, message) = call.find('"').map_or((call, ""), |quote| call.split_at(quote));
    fields.split(',').filter_map(move |field| {
        let name = field.split('=').next()?.trim().trim_start_matches(['%', '?']);
        let is_said = !name.is_empty() && ["}", ":"].iter().any(|end| message.contains(&format!("{{{name}{end}")));
        is_said.then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_the_message_has_is_found() {
        let source = "fn f() {\n    warn!(%error, path, \"{path} can't be read: {error}\");\n}\n";
        assert_eq!(repeated(source), [(2, "error".to_owned()), (2, "path".to_owned())]);
        assert_eq!(repeated("info!(file = %name, \"{name:?} is new\")"), []);
        assert_eq!(repeated("info!(%name, \"{name:?} is new\")"), [(1, "name".to_owned())]);
    }

    #[test]
    fn a_field_or_a_message_alone_is_not() {
        assert_eq!(repeated("warn!(%error, \"can't read (yet) the file\"); warn!(\"{error}\");"), []);
    }
}
