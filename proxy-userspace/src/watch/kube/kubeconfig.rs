//! Reads kubeconfigs, and refuses files that would make kube panic.

use std::{fs, io, path::Path};

use kube::config::{Kubeconfig, KubeconfigError};

/// Reads the kubeconfig at `path`, which may be in UTF-8 or UTF-16.
pub(super) fn read(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    match fs::read(path) {
        Ok(text) if is_cut(&text) => {
            let error = io::Error::new(io::ErrorKind::InvalidData, "its UTF-16 text ends in the middle of a character");
            Err(KubeconfigError::ReadConfig(error, path.to_owned()))
        }
        _ => Kubeconfig::read_from(path),
    }
}

/// True if the text begins as UTF-16 and has an odd number of bytes. kube takes two bytes at a time, and panics at the last one.
fn is_cut(text: &[u8]) -> bool {
    matches!(text, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) && !text.len().is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Result<Option<String>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        read(file.path()).map(|kubeconfig| kubeconfig.current_context).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn utf_16_that_ends_in_the_middle_of_a_character_is_an_error() {
        let text = "\u{feff}current-context: a\n";
        let [little, big] =
            [u16::to_le_bytes, u16::to_be_bytes].map(|order| text.encode_utf16().flat_map(order).collect::<Vec<u8>>());
        for whole in [text.as_bytes(), &little, &big] {
            assert_eq!(found(whole), Ok(Some("a".to_owned())));
        }
        for cut in [&little, &big].map(|bytes| found(&bytes[..bytes.len() - 1])) {
            assert!(cut.as_ref().is_err_and(|error| error.contains("middle of a character")), "{cut:?}");
        }
    }
}
