// The view of the node: how well the agent is, the devices and hooks that it serves, and how full its maps are.

import { byId, drawn, element, row, showCells, showList, state } from "./dom.js";
import { count, duration, moment, whole } from "./format.js";

export function open() {
  // The header's report is shown here, too.
  return undefined;
}

/** Shows a report of the agent. */
export function show(report) {
  showReasons(report);
  showFacts(report);
  const hooks = report.hooks.map((hook) => ({ ...hook, by: "cgroup" }));
  const devices = report.devices.map((device) => ({ ...device, by: device.mode ?? "–" }));
  showList(byId("hook-rows"), [...devices, ...hooks], (one) => `${one.by} ${one.name}`, () => row(["mono", "", ""]), showHook);
  showList(
    byId("map-rows"), report.maps, (map) => map.name, () => row(["mono", "number", "number roomy", "number roomy", ""]), showMap,
  );
  showLists(report.agent);
}

function showReasons({ health, reasons }) {
  const words = { healthy: ["good", "Everything is served."], degraded: ["warn", "degraded"], unhealthy: ["bad", "unhealthy"] };
  const list = reasons.length ? element("ul", { class: "lines" }, ...reasons.map((reason) => element("li", {}, reason))) : null;
  replace(byId("reasons"), element("div", {}, element("p", {}, state(...words[health])), list));
}

function showFacts({ agent, instance, inForce }) {
  const source = agent?.source.type === "folder" ? `the folder ${agent.source.path}` : "the API server";
  const facts = [
    ["Node", agent?.nodeName],
    ["Instance", instance],
    ["Version", agent?.version],
    ["Running since", agent && moment(agent.started)],
    ["Objects from", agent && source],
    ["Load balancers", agent && (agent.nodeEligible ? "may send packets to this node" : "should send no packets to this node")],
    ["Last change in force", agent?.lastApplied ? moment(agent.lastApplied) : "none yet"],
    ["In force", [
      count(inForce.services, "Service"),
      count(inForce.servicePorts, "service port"),
      count(inForce.frontends, "frontend"),
      count(inForce.backends, "backend"),
    ].join(", ")],
  ].filter(([, text]) => text);
  const items = facts.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)]);
  replace(byId("facts"), element("dl", { class: "facts", id: "facts" }, ...items));
}

/** Puts an element in the place of another's content, unless it is there already. */
function replace(holder, made) {
  const now = holder.tagName === made.tagName ? made.childNodes : [...made.children];
  const same = now.length === holder.childNodes.length && [...now].every((one, index) => one.isEqualNode(holder.childNodes[index]));
  if (!same) holder.replaceChildren(...now);
}

function showHook(shown, hook) {
  const lost = hook.missingSeconds === undefined ? "has no program" : `lost for ${duration(hook.missingSeconds)}: ${hook.reason}`;
  showCells(shown, [hook.name, hook.by, hook.attached ? state("good", "attached") : state("bad", lost)]);
}

function showMap(shown, map) {
  const full = Math.min(map.fullPercent, 100);
  const bar = drawn(
    "svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawn("rect", { class: "room", width: 100, height: 8, rx: 2 }),
    drawn("rect", { class: "used", width: full, height: 8, rx: 2 }),
  );
  showCells(shown, [
    map.name,
    whole(map.entries),
    whole(map.capacity),
    whole(map.limit),
    element("span", { class: "fill" }, bar, `${map.fullPercent} %`),
  ]);
}

function showLists(agent) {
  const parts = [];
  const list = (title, lines) => {
    if (lines.length) {
      parts.push(element("h2", {}, title), element("ul", { class: "lines" }, ...lines.map((line) => element("li", {}, line))));
    }
  };
  list("Not in force", (agent?.notInForce ?? []).map((one) => `${one.error} (${one.parts}, the first: ${one.first})`));
  const skipped = (agent?.skipped ?? []).map(({ object, field, reason }) => `${object}, ${field}: ${reason}`);
  list(agent?.skippedFields > skipped.length ? `Fields that are not served (${agent.skippedFields})` : "Fields that are not served", skipped);
  list("Last warnings and errors", (agent?.lastErrors ?? []).map(({ time, level, message }) => `${moment(time)} ${level}: ${message}`));
  replace(byId("node-lists"), element("div", {}, ...parts));
}

