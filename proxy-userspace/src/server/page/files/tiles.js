// Tiles: a number with its name, and how it was in the last minute.

import { element, setText, showList } from "./dom.js";
import { showSpark, spark } from "./spark.js";

/** Shows tiles in a list of terms. Each has a `name`, a `text`, and maybe `samples`, the oldest first. */
export function showTiles(list, tiles) {
  showList(list, tiles, (tile) => tile.name, make, show);
}

function make(tile) {
  const made = element("div", {}, element("dt", {}, tile.name), element("dd", { class: "figure" }));
  if (tile.samples) made.append(element("dd", {}, spark()));
  return made;
}

function show(shown, tile) {
  setText(shown.children[1], tile.text);
  if (tile.samples) showSpark(shown.children[2].firstChild, tile.samples, tile.name);
}
