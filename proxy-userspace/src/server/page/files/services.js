// The view of all Services: sums, and a table that is filtered and sorted by the agent.

import { byId, element, row, setAttribute, setText, showCells, showList } from "./dom.js";
import { count, portAddress, portName, short, whole } from "./format.js";
import { ask } from "./poll.js";
import { showSpark, spark } from "./spark.js";
import { showTiles } from "./tiles.js";

const PAUSE = 1000;

const order = { sort: "connections", order: "descending" };
let refresh = () => {};

export function open(_parameters, again) {
  refresh = again;
  showOrder();
  return { pause: PAUSE, task: async (signal) => show(await ask("services", { filter: byId("filter").value, ...order }, signal)) };
}

function show(found) {
  const { total, history } = found;
  showTiles(byId("totals"), [
    { name: "Connections/s", text: short(total?.connections), samples: history.connections },
    { name: "Packets/s", text: short(total?.packets), samples: history.packets },
    { name: "Bytes/s", text: short(total?.bytes), samples: history.bytes },
    { name: "Refused/s", text: short(total && found.refused), samples: history.refused },
  ]);
  setText(byId("matching"), matching(found));
  showList(byId("service-rows"), found.services, (port) => `${portName(port)} ${port.protocol}`, make, showRow);
  const none = byId("no-services");
  none.hidden = found.matching !== 0;
  setText(none, found.count === 0
    ? "No Service is in force on this node yet. The view of the node says why, if something is wrong."
    : "No Service matches the filter.");
}

function matching({ matching: matches, count: all, services }) {
  const of = matches === all ? count(all, "service port") : `${whole(matches)} of ${count(all, "service port")}`;
  return matches > services.length ? `${of}; the first ${services.length} are shown` : of;
}

function make(port) {
  const made = row(["", "roomy", "number roomy", "number", "spark-column", "number roomy", "number roomy"]);
  made.cells[0].append(
    element("a", { href: portAddress(port) }, portName(port)),
    element("span", { class: "quiet small" }, ` ${port.protocol}`),
    element("span", { class: "quiet small narrow" }),
  );
  made.cells[4].append(spark());
  return made;
}

function showRow(shown, port) {
  const { rates } = port;
  showCells(shown, [
    null,
    frontends(port),
    backends(port),
    short(rates?.connections),
    null,
    short(rates?.packets),
    short(rates?.bytes),
  ]);
  setText(shown.cells[0].lastChild, port.refuses ? `no backend, ${port.refuses}` : count(port.backends, "backend"));
  showSpark(shown.cells[4].firstChild, port.history, `Connections per second to ${portName(port)}`);
}

function frontends({ types, addresses }) {
  const shown = addresses.slice(0, 3).map((address) => element("span", { class: "address" }, address));
  const more = addresses.length > shown.length ? ` and ${addresses.length - shown.length} more` : "";
  return element("div", {}, ...shown, element("span", { class: "quiet small" }, types.join(", ") + more));
}

function backends({ backends: number, local, refuses }) {
  if (refuses) return element("span", { class: "bad" }, `none, ${refuses}`);
  return element("span", {}, whole(number), element("span", { class: "quiet small" }, local ? ` (${whole(local)} here)` : ""));
}

function showOrder() {
  for (const title of document.querySelectorAll("#services th[data-sort]")) {
    setAttribute(title, "aria-sort", title.dataset.sort === order.sort ? order.order : null);
  }
}

function sortBy(column) {
  const first = column === "name" ? "ascending" : "descending";
  const other = order.order === "ascending" ? "descending" : "ascending";
  order.order = column === order.sort ? other : first;
  order.sort = column;
  showOrder();
  refresh();
}

for (const title of document.querySelectorAll("#services th[data-sort]")) {
  title.querySelector("button").addEventListener("click", () => sortBy(title.dataset.sort));
}
byId("filter").addEventListener("input", () => refresh());
