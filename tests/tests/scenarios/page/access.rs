//! What people need who can't see the page well, or at all: names, headings, landmarks, and contrast. Checked by a script
//! in the page, for what is visible.

use serde_json::{Value, json};

use super::browser::Browser;

/// The least contrast of text (WCAG 2.2, 1.4.3).
const CONTRAST: f64 = 4.5;

/// Returns a list of faults.
const NAMES: &str = r#"
const seen = (one) => one.checkVisibility({ checkVisibilityCSS: true });
const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
const faults = [];
const check = (is, what, one) => { if (!is) faults.push(`${what}: ${one?.outerHTML?.slice(0, 120) ?? ""}`); };
for (const field of all("input, select, textarea")) check(field.labels?.length, "a field without a label", field);
for (const button of all("button, a[href], summary")) {
  check((button.ariaLabel || button.innerText).trim(), "a control without a name", button);
}
for (const title of all("th")) check(["col", "row"].includes(title.scope), "a title without a scope", title);
for (const region of all(".scroll")) {
  check(region.ariaLabel || region.getAttribute("aria-labelledby"), "a region without a name", region);
  check(region.tabIndex === 0, "a region that keys can't scroll", region);
}
for (const drawing of all("svg[role=img]")) check(drawing.getAttribute("aria-label"), "a drawing without a text", drawing);
for (const reference of all("[aria-labelledby], [aria-describedby]")) {
  for (const name of ["aria-labelledby", "aria-describedby"]) {
    const id = reference.getAttribute(name);
    check(!id || document.getElementById(id)?.textContent, "a reference to nothing", reference);
  }
}
check(document.documentElement.lang === "en", "no language");
check(document.title.endsWith("Waggle") && document.title.length > 8, "no title");
check(all("main").length === 1 && all("header").length === 1 && all("nav[aria-label]").length === 1, "landmarks");
check(all("h1").length === 1, "not one heading of the first level");
check(all("nav a[aria-current=page]").length === 1, "no view is marked as the current one");
const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
check(new Set(ids).size === ids.length, "an id twice");
return faults;
"#;

/// Returns, for each pair of colours of visible text, its contrast and an example.
const CONTRASTS: &str = r#"
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = ([r, g, b, a], below) => [r, g, b].map((value, index) => value * a + below[index] * (1 - a));
const ground = (one) => {
  const layers = [];
  for (let at = one; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
};
const light = (colour) => {
  const [r, g, b] = colour.map((value) => value / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const found = new Map();
for (const one of document.querySelectorAll("body *")) {
  const own = [...one.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (!own.length || !one.checkVisibility({ checkVisibilityCSS: true }) || one.closest(".skip")) continue;
  const style = getComputedStyle(one);
  const below = ground(one);
  const text = over(rgba(one instanceof SVGElement ? style.fill : style.color), below);
  const [bright, dark] = [light(text), light(below)].sort((a, b) => b - a);
  const contrast = (bright + 0.05) / (dark + 0.05);
  found.set(`${text} ${below}`, [contrast, own[0].data.trim().slice(0, 40)]);
}
return [...found.values()];
"#;

/// Checks the view that is shown.
#[track_caller]
pub(super) fn check(browser: &Browser<'_>, view: &str) {
    let faults = browser.run(NAMES);
    assert_eq!(faults, json!([]), "{view}");
    let contrasts = browser.run(CONTRASTS);
    let contrasts = contrasts.as_array().expect("contrasts");
    assert!(contrasts.len() > 2, "{view} has text: {contrasts:?}");
    let weak: Vec<&Value> =
        contrasts.iter().filter(|one| one[0].as_f64().is_none_or(|contrast| contrast < CONTRAST)).collect();
    assert!(weak.is_empty(), "{view} has text that is hard to read: {weak:?}");
}

/// Checks that the page is not wider than its window.
#[track_caller]
pub(super) fn check_width(browser: &Browser<'_>, view: &str) {
    let wide = browser.run(
        "const inner = window.innerWidth; const own = document.documentElement.scrollWidth; \
         return own <= inner ? [] : [own, inner, ...[...document.querySelectorAll('body *')] \
         .filter((one) => one.getBoundingClientRect().right > inner && !one.closest('.scroll, nav')).map((one) => one.outerHTML.slice(0, 90))]",
    );
    assert_eq!(wide, json!([]), "{view} is wider than the window");
}
