// The view of what is refused: each reason with its rate, and behind it what it means and what to do.

import { byId, element, setAttribute, setText, showList } from "./dom.js";
import { short, whole } from "./format.js";
import { ask } from "./poll.js";
import { showTiles } from "./tiles.js";

const PAUSE = 1000;

export function open() {
  return { pause: PAUSE, task: async (signal) => show(await ask("refusals", {}, signal)) };
}

function show({ refused, history, reasons }) {
  const known = history.length > 0;
  showTiles(byId("refusal-tiles"), [{ name: "Refused/s", text: short(known ? refused : null), samples: history }]);
  const applied = reasons.filter((reason) => reason.count > 0);
  applied.sort((a, b) => b.rate - a.rate || b.count - a.count);
  byId("no-refusals").hidden = applied.length !== 0;
  const key = (reason) => reason.reason;
  showList(byId("applied"), applied, key, make, showReason);
  showList(byId("unused"), reasons.filter((reason) => reason.count === 0), key, make, showReason);
}

function make(reason) {
  const about = [
    ["means", reason.meaning],
    ["sockets here see", reason.socketsSee],
    ["clients outside see", reason.clientsOutsideSee],
    ["what to do", reason.advice],
  ];
  return element(
    "details",
    {},
    element(
      "summary",
      {},
      element("span", {}, element("span", { class: "mono" }, reason.reason), " ",
        element("span", { class: "quiet small" }, reason.verdict)),
      element("span", { class: "number" }),
      element("span", { class: "number quiet count" }),
    ),
    element("dl", {}, ...about.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)])),
  );
}

function showReason(shown, reason) {
  const [, rate, total] = shown.firstChild.children;
  setText(rate, `${short(reason.rate)} /s`);
  setAttribute(rate, "class", reason.rate > 0 ? "number bad" : "number quiet");
  setText(total, `${whole(reason.count)} so far`);
}

