//! Accepts `_` for `-` in the names of flags, as kube-proxy does: klog's flags have underscores, and old command lines use them.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

/// Replaces `_` by `-` in the names of flags if the command is `waggle run`. Values stay as they are.
pub fn with_hyphens(line: impl IntoIterator<Item = impl Into<OsString>>) -> Vec<OsString> {
    let line: Vec<OsString> = line.into_iter().map(Into::into).collect();
    if line.get(1).is_none_or(|command| command != "run") {
        return line;
    }
    line.into_iter().enumerate().map(|(index, argument)| if index < 2 { argument } else { flag(argument) }).collect()
}

fn flag(argument: OsString) -> OsString {
    if !is_long(&argument) {
        return argument;
    }
    let mut bytes = argument.into_vec();
    let name = bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len());
    bytes[..name].iter_mut().filter(|byte| **byte == b'_').for_each(|byte| *byte = b'-');
    OsString::from_vec(bytes)
}

fn is_long(argument: &OsStr) -> bool {
    argument.as_bytes().starts_with(b"--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_flags_of_the_agent_change() {
        for (line, wanted) in [
            (
                &["waggle", "run", "--log_dir=/a_b", "--v", "c_d"][..],
                &["waggle", "run", "--log-dir=/a_b", "--v", "c_d"][..],
            ),
            (&["a__b", "run", "--one_output"], &["a__b", "run", "--one-output"]),
            (&["waggle", "run", "_", "-_", "--=a_b"], &["waggle", "run", "_", "-_", "--=a_b"]),
            (&["waggle", "get", "--no_flag"], &["waggle", "get", "--no_flag"]),
            (&["waggle"], &["waggle"]),
        ] {
            assert_eq!(with_hyphens(line.iter().copied()), wanted);
        }
    }
}
