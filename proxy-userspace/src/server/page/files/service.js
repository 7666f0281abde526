// The view of one Service's port: its rates, where its connections go, its backends and their state, and its frontends.

import { byId, element, row, setAttribute, setText, showCells, showList, state } from "./dom.js";
import { count, duration, percent, portName, short, whole } from "./format.js";
import { showPicture } from "./picture.js";
import { Refused, ask } from "./poll.js";
import { showTiles } from "./tiles.js";

const PAUSE = 2000;
const STATES = {
  serving: ["good", "serving"],
  draining: ["warn", "draining"],
  removed: ["bad", "removed"],
};

export function open(parameters) {
  const port = Object.fromEntries(["namespace", "name", "port", "protocol"].map((name) => [name, parameters.get(name) ?? ""]));
  setText(byId("service-title"), `${portName(port)} ${port.protocol}`);
  byId("service-parts").hidden = true;
  byId("service-gone").hidden = true;
  const destination = { destination: portName(port), protocol: port.protocol.toLowerCase() };
  setAttribute(byId("explain-link"), "href", `#/explain?${new URLSearchParams(destination)}`);
  return { pause: PAUSE, task: (signal) => look(port, signal) };
}

async function look(port, signal) {
  try {
    show(await ask("service", port, signal));
    byId("service-gone").hidden = true;
    byId("service-parts").hidden = false;
  } catch (error) {
    if (!(error instanceof Refused && error.code === 404)) throw error;
    setText(byId("service-gone"), `There is no such Service here: ${error.message}.`);
    byId("service-gone").hidden = false;
    byId("service-parts").hidden = true;
  }
}

function show(found) {
  const { rates, history, picture } = found;
  showTiles(byId("service-tiles"), [
    { name: "Connections/s", text: short(rates?.connections), samples: history.connections },
    { name: "Packets/s", text: short(rates?.packets), samples: history.packets },
    { name: "Open connections", text: (found.isCut ? "more than " : "") + whole(picture.flows) },
    { name: "Connections so far", text: whole(found.connections) },
  ]);
  showPicture(found);
  showList(byId("backend-rows"), found.backends, (backend) => backend.address, makeBackend, showBackend);
  const none = byId("no-backends");
  none.hidden = found.backends.length !== 0 && found.backendCount === found.backends.length;
  setText(none, found.backends.length === 0
    ? `No backend is ready: new connections are ${found.frontends[0]?.whenEmpty === "drops" ? "dropped" : "rejected"}.`
    : `The first ${found.backends.length} of ${whole(found.backendCount)} backends are shown.`);
  showList(byId("frontend-rows"), found.frontends, (frontend) => frontend.address + frontend.type, makeFrontend, showFrontend);
}

const makeBackend = () => row(["mono", "", "roomy", "number", "number roomy", "number"]);

function showBackend(shown, backend) {
  showCells(shown, [
    backend.address,
    state(...STATES[backend.state]),
    backend.local ? "this node" : "another node",
    percent(backend.clusterShare),
    percent(backend.localShare),
    whole(backend.flows),
  ]);
}

const makeFrontend = () => row(["mono", "", "", "", "roomy"]);

function showFrontend(shown, frontend) {
  showCells(shown, [
    frontend.address,
    frontend.type,
    list(frontend.internal, frontend.whenEmpty),
    list(frontend.external, frontend.whenEmpty),
    rules(frontend),
  ]);
}

function list({ policy, backends }, whenEmpty) {
  if (backends) return `${count(backends, "backend")} (${policy})`;
  return state("bad", `none (${policy}): ${whenEmpty}`);
}

function rules({ affinitySeconds, sources }) {
  const rules = [];
  if (affinitySeconds) rules.push(`clients keep their backend for ${duration(affinitySeconds)}`);
  if (sources) rules.push(`only from ${sources.ranges.join(", ") || "no one"}`);
  return element("span", { class: "quiet" }, rules.join("; ") || "–");
}
