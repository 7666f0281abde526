// Makes and changes elements. Nothing is written that is there already, so that focus, selection and screen readers are left alone.

const SVG = "http://www.w3.org/2000/svg";

/** Returns the element with an id. */
export const byId = (id) => document.getElementById(id);

/** Makes an element of HTML. Attributes that are undefined, null or false are left out. */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Makes an element of SVG. */
export function drawn(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

/** Makes the text of an element this one. */
export function setText(changed, text) {
  if (changed.textContent !== String(text)) changed.textContent = text;
}

/** Makes an attribute this one; undefined or null removes it. */
export function setAttribute(changed, name, value) {
  if (value === undefined || value === null) changed.removeAttribute(name);
  else if (changed.getAttribute(name) !== String(value)) changed.setAttribute(name, value);
}

/**
 * Makes the children of a parent those of a list. `key` tells items apart, `make` makes the element of a new item, and `show`
 * writes an item into its element. Elements stay in place as long as their items do.
 */
export function showList(parent, items, key, make, show) {
  const before = parent.shownItems ?? new Map();
  const now = new Map();
  for (const item of items) {
    const name = key(item);
    const child = before.get(name) ?? make(item);
    now.set(name, child);
    show(child, item);
  }
  for (const [name, child] of before) if (now.get(name) !== child) child.remove();
  let place = parent.firstChild;
  for (const child of now.values()) {
    if (child === place) place = place.nextSibling;
    else parent.insertBefore(child, place);
  }
  parent.shownItems = now;
}

/** Makes a row whose first cell is its heading, with a class for each cell. */
export function row(classes) {
  return element(
    "tr",
    {},
    ...classes.map((name, index) =>
      index === 0 ? element("th", { scope: "row", class: name || null }) : element("td", { class: name || null })),
  );
}

/** Writes texts or elements into the cells of a row. A cell for which there is null stays as it is. */
export function showCells(shown, contents) {
  contents.forEach((content, index) => {
    const cell = shown.cells[index];
    if (content === null) return;
    if (content instanceof Node) {
      if (!cell.firstChild?.isEqualNode?.(content)) cell.replaceChildren(content);
    } else {
      setText(cell, content);
    }
  });
}

/** Returns a state: a sign, a word and a colour (`good`, `warn` or `bad`). */
export function state(kind, word) {
  const signs = { good: "●", warn: "▲", bad: "■" };
  return element("span", { class: `state ${kind}` }, element("span", { "aria-hidden": "true" }, `${signs[kind]} `), word);
}
