//! The files of the page, which are in the program.

/// A file.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    /// Its path in URLs.
    path: &'static str,
    /// Its media type.
    pub(super) kind: &'static str,
    /// Its content.
    pub(super) content: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File { path: concat!("/", $name), kind: $kind, content: include_bytes!(concat!("files/", $name)) }
    };
}

const FILES: [File; 16] = [
    file!("index.html", HTML),
    file!("page.css", STYLE),
    file!("parts.css", STYLE),
    file!("icon.svg", IMAGE),
    file!("page.js", SCRIPT),
    file!("poll.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("spark.js", SCRIPT),
    file!("tiles.js", SCRIPT),
    file!("services.js", SCRIPT),
    file!("service.js", SCRIPT),
    file!("picture.js", SCRIPT),
    file!("refusals.js", SCRIPT),
    file!("explain.js", SCRIPT),
    file!("node.js", SCRIPT),
];

/// Returns the file at a path; `/` is the page itself.
pub(super) fn find(path: &str) -> Option<File> {
    let path = if path == "/" { "/index.html" } else { path };
    FILES.into_iter().find(|file| file.path == path)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/page/files");
        let there: BTreeSet<String> =
            fs::read_dir(folder).unwrap().map(|entry| format!("/{}", entry.unwrap().file_name().display())).collect();
        assert_eq!(there, FILES.iter().map(|file| file.path.to_owned()).collect());
        assert_eq!(find("/").map(|file| file.kind), Some(HTML));
        assert!(find("/../Cargo.toml").is_none());
    }

    #[test]
    fn files_name_no_other_host_and_no_inline_code() {
        for File { path, content, .. } in FILES {
            let text = std::str::from_utf8(content).unwrap();
            let named = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!named.contains("://"), "{path} names another host");
            let is_inline =
                |part: &str| part.contains(" style=\"") || part.contains("<style") || part.contains(" onclick=");
            assert!(!is_inline(text), "{path} has inline code, which the policy refuses");
        }
    }
}
