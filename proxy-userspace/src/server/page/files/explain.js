// The form that explains a connection. What is asked for is in the address of the page, so that it can be kept and sent.

import { byId, element, setAttribute, setText } from "./dom.js";
import { Refused, ask } from "./poll.js";

const FIELDS = ["client", "destination", "protocol", "from", "device"];
const KINDS = { served: "good", passes: "warn", rejected: "bad", dropped: "bad" };
const SIGNS = { good: "●", warn: "▲", bad: "■" };

let question = 0;

export function open(parameters) {
  for (const name of FIELDS) {
    const given = parameters.get(name);
    if (given !== null) byId(name).value = given;
  }
  clear();
  // A link from a Service names what is dialled alone.
  if (parameters.has("client")) answer();
  return undefined;
}

function clear() {
  byId("explanation").hidden = true;
  byId("explain-error").hidden = true;
  for (const name of FIELDS) setAttribute(byId(name), "aria-invalid", null);
}

async function answer() {
  question += 1;
  const mine = question;
  try {
    const explained = await ask("explain", Object.fromEntries(FIELDS.map((name) => [name, byId(name).value])));
    if (mine === question) show(explained);
  } catch (error) {
    if (mine === question) refuse(error);
  }
}

function show({ explanation: { verdict }, steps }) {
  const kind = KINDS[verdict.outcome] ?? "warn";
  const title = byId("verdict-title");
  setText(title, `${SIGNS[kind]} ${verdict.outcome}${verdict.reason ? `, ${verdict.reason}` : ""}`);
  setAttribute(title, "class", kind);
  setText(byId("verdict-text"), verdict.clientSees);
  const step = ({ name, lines }) => element("li", {}, element("h3", {}, name), ...lines.map(paragraph));
  byId("steps").replaceChildren(...steps.map(step));
  byId("explanation").hidden = false;
  title.focus();
}

/** Returns a line of a step. Columns, which the agent aligns by spaces, stay columns. */
const paragraph = (line) => element("p", { class: line.includes("  ") ? "columns" : null }, line);

function refuse(error) {
  const text = error instanceof Refused ? error.message : "the agent does not answer; try again";
  setText(byId("explain-error"), text);
  byId("explain-error").hidden = false;
  const wrong = FIELDS.find((name) => text.startsWith(`read ${name}`) || text.startsWith(`find ${name}`));
  if (wrong) {
    setAttribute(byId(wrong), "aria-invalid", "true");
    byId(wrong).focus();
  }
}

byId("explain-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = FIELDS.map((name) => [name, byId(name).value.trim()]).filter(([name, value]) => value || name === "client");
  history.replaceState(null, "", `#/explain?${new URLSearchParams(asked)}`);
  clear();
  answer();
});
