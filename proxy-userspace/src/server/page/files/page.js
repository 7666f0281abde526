// The frame of the page: which view is shown, what the header says, and what happens when the agent does not answer.

import { byId, setAttribute, setText } from "./dom.js";
import { clock } from "./format.js";
import { Refused, Repeated, ask } from "./poll.js";
import * as explain from "./explain.js";
import * as node from "./node.js";
import * as refusals from "./refusals.js";
import * as service from "./service.js";
import * as services from "./services.js";

// Each view has an id, which is that of its section, and `open(parameters, refresh)`, which returns what to repeat, if anything.
const VIEWS = { services, service, refusals, explain, node };
const STATUS_PAUSE = 5000;

let running = undefined;
// When each task has had its last answer, and the error of each that has none now.
const answered = new Map();
const failed = new Map();

/** Calls `task` for answers of the agent, and says so when there is none. */
function guarded(name, task) {
  return async (signal) => {
    try {
      await task(signal);
      answered.set(name, Date.now());
      failed.delete(name);
    } catch (error) {
      if (signal.aborted) return;
      failed.set(name, error);
    }
    showBanner();
  };
}

function showBanner() {
  const banner = byId("banner");
  const [first] = failed;
  banner.hidden = first === undefined;
  document.body.classList.toggle("stale", first !== undefined && answered.size > 0);
  if (first === undefined) return;
  const [, error] = first;
  const reason = error instanceof Refused ? `The agent can’t say it now: ${error.message}.` : "The agent does not answer.";
  const since = answered.size ? `What is shown is from ${clock(Math.max(...answered.values()))}.` : "Nothing could be read yet.";
  setText(banner, `${reason} ${since} The page keeps asking.`);
}

function showStatus(report) {
  const kinds = { healthy: ["good", "●"], degraded: ["warn", "▲"], unhealthy: ["bad", "■"] };
  const [kind, sign] = kinds[report.health];
  const health = byId("health");
  setText(health, `${sign} ${report.health}`);
  setAttribute(health, "aria-label", `Health: ${report.health}`);
  setAttribute(health, "class", `health ${kind}`);
  health.hidden = false;
  setText(byId("node-name"), report.agent?.nodeName ?? report.instance);
  setText(byId("version"), report.agent ? `v${report.agent.version}` : "");
  node.show(report);
}

/** Returns the view and the parameters that the address asks for. */
function asked() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return [path in VIEWS ? path : "services", new URLSearchParams(query)];
}

function open() {
  const [name, parameters] = asked();
  running?.stop();
  running = undefined;
  answered.delete("view");
  failed.delete("view");
  for (const id of Object.keys(VIEWS)) byId(id).hidden = id !== name;
  for (const link of document.querySelectorAll("nav a")) {
    const of = link.getAttribute("href").slice(2) || "services";
    setAttribute(link, "aria-current", of === name || (of === "services" && name === "service") ? "page" : null);
  }
  const repeated = VIEWS[name].open(parameters, () => running?.now());
  const title = byId(`${name}-title`).textContent;
  document.title = `${title} – Waggle`;
  if (repeated) running = new Repeated(guarded("view", repeated.task), repeated.pause);
}

/** Moves the focus to the title of a view that was chosen, so that the keyboard and screen readers go on there. */
function follow() {
  open();
  const [name] = asked();
  if (VIEWS[name].takesFocus !== false) byId(`${name}-title`).focus();
  window.scrollTo(0, 0);
}

byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("content").focus();
});
window.addEventListener("hashchange", follow);
new Repeated(guarded("status", async (signal) => showStatus(await ask("status", {}, signal))), STATUS_PAUSE);
open();
