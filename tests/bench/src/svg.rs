//! Just enough SVG for a bar chart: text that is escaped, elements that are closed, colours for light and dark pages.

use std::fmt::Write as _;

/// A picture under construction; lengths are in pixels.
pub struct Svg {
    body: String,
    width: f64,
    height: f64,
}

/// Colours by class. Those of text and lines follow the page's colour scheme.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#24292f}.strong{font-weight:600}.soft{fill:#57606a}\
.rule{stroke:#8c959f;stroke-width:1}.bar{stroke:#cf222e;stroke-width:1;stroke-dasharray:4 3}\
.one{fill:#bf8700}.two{fill:#7d4e00}.three{fill:#8ea4c0}.four{fill:#4f6b8f}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.soft{fill:#9198a1}.rule{stroke:#656c76}.bar{stroke:#ff7b72}\
.one{fill:#f2cc60}.two{fill:#bb8009}.three{fill:#a5c3e8}.four{fill:#5f86b5}}";

impl Svg {
    /// An empty picture.
    pub const fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    /// A filled rectangle.
    pub fn rectangle(&mut self, class: &str, [x, y]: [f64; 2], [width, height]: [f64; 2]) {
        let class = escape(class);
        self.push(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#
        ));
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let class = escape(class);
        self.push(format_args!(r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#));
    }

    /// Text; `anchor` is `start`, `middle` or `end`.
    pub fn text(&mut self, class: &str, anchor: &str, [x, y]: [f64; 2], text: &str) {
        let (class, anchor, text) = (escape(class), escape(anchor), escape(text));
        self.push(format_args!(r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }

    /// The document.
    pub fn finish(self, title: &str) -> String {
        let Self { body, width, height } = self;
        let title = escape(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n{body}</svg>\n"
        )
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// Text as content or attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Checks that elements nest and that no bare `<`, `&` or quote is left.
    pub fn assert_well_formed(document: &str) {
        let mut open = Vec::new();
        let mut rest = document;
        while let Some(at) = rest.find('<') {
            let text = &rest[..at];
            assert!(!text.contains('>'), "a bare > in {text:?}");
            for entity in text.split('&').skip(1) {
                assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|name| entity.starts_with(name)), "{entity:?}");
            }
            let end = at + rest[at..].find('>').expect("a tag is closed");
            let tag = &rest[at + 1..end];
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag:?}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap_or_default());
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "{open:?} are open");
    }

    #[test]
    fn documents_are_well_formed_whatever_their_texts() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text("soft", "end", [1.0, 2.0], "a < b & \"c\" > d");
        svg.rectangle("one", [0.0, 0.0], [1.0, 1.0]);
        svg.line("rule", [0.0, 0.0], [1.0, 1.0]);
        let document = svg.finish("<title> & more");
        assert_well_formed(&document);
        assert!(document.contains("a &lt; b &amp; &quot;c&quot; &gt; d"));
    }
}
