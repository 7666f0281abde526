//! The page about machines without a cluster, as the Debian package has it: its links lead to what the package has, and the
//! examples are where the package puts them. Pure.

use crate::markdown::Page;

/// A file or folder of the repository, and its place in the package.
pub(super) type Place = (&'static str, &'static str);

/// The folder of the page in the package.
const FOLDER: &str = "usr/share/doc/waggle";

/// Returns the page's text for the package. A link to something else of the repository becomes its text.
pub(super) fn of_package(page: &Page, examples: Place, files: &[Place]) -> String {
    let mut text = page.text.clone();
    for link in page.links().iter().filter(|link| !link.target.starts_with('#')) {
        let (path, _) = page.resolve(&link.target);
        let is_file = files.iter().find(|(from, _)| *from == path).map(|(_, to)| format!("/{to}"));
        let example = path.strip_prefix(examples.0).map(|rest| format!("{}{rest}", relative(examples.1)));
        let Some((before, after)) = text.split_once(&format!("]({})", link.target)) else { continue };
        let Some((before, label)) = before.rsplit_once('[') else { continue };
        text = match (is_file, example) {
            (Some(file), _) => format!("{before}{file}{after}"),
            (None, Some(example)) => format!("{before}[{label}]({example}){after}"),
            (None, None) => format!("{before}{label}{after}"),
        };
    }
    text.replace(examples.0, &format!("/{}", examples.1))
}

/// A place in the package, as seen from the page.
fn relative(place: &str) -> &str {
    place.strip_prefix(FOLDER).map_or(place, |rest| rest.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_what_the_package_has() {
        let text = "[deploy/ex/web](../deploy/ex/web), [S1](semantics.md#s1) and\n[the unit](../deploy/unit), [here](#here), \
                    [w](https://w.x)\n```\nwaggle validate deploy/ex/web\n```\n[deploy/ex](../deploy/ex)\n";
        let page = Page { path: "docs/standalone.md".to_owned(), text: text.to_owned() };
        let expected = "[/usr/share/doc/waggle/examples/web](examples/web), S1 and\n/lib/unit, [here](#here), \
                        [w](https://w.x)\n```\nwaggle validate /usr/share/doc/waggle/examples/web\n```\n\
                        [/usr/share/doc/waggle/examples](examples)\n";
        let examples = ("deploy/ex", "usr/share/doc/waggle/examples");
        assert_eq!(of_package(&page, examples, &[("deploy/unit", "lib/unit")]), expected);
    }
}
