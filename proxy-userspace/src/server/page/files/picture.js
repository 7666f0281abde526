// Draws where open connections go: clients, what they dialled, backends. Where there is no room for three columns, there are two.

import { byId, drawn, row, setText, showCells, showList } from "./dom.js";
import { count, whole } from "./format.js";

const NARROW = 560;
const BAR = 8;
const LABEL = 18;
const TOP = 30;
const GAP = 10;
const LEAST = 4;
const MOST = 160;

let last = undefined;

/** Draws the picture of a Service, its caption and its table. */
export function showPicture(found) {
  last = found;
  draw();
  setText(byId("picture-caption"), caption(found));
  const { picture } = found;
  const links = [
    ...picture.arrivals.map((link) => [picture.clients[link.from], picture.frontends[link.to], link]),
    ...picture.deliveries.map((link) => [picture.frontends[link.from], picture.backends[link.to], link]),
  ];
  byId("picture-details").hidden = links.length === 0;
  showList(
    byId("picture-rows"),
    links,
    ([from, to]) => `${from.name} ${to.name}`,
    () => row(["mono", "mono", "number"]),
    (shown, [from, to, link]) => showCells(shown, [from.name, to.name, whole(link.flows)]),
  );
}

function caption({ picture, isCut, backends }) {
  if (picture.flows === 0) {
    return backends.length
      ? "No connection is open. The dashed lines show which backends new connections may get."
      : "No connection is open, and there is no backend to open one to.";
  }
  const text = `${count(picture.flows, "open connection")} from ${count(picture.clients.length, "client")} `
    + `to ${count(picture.backends.length, "backend")}. Lines are as wide as they have connections.`;
  return isCut ? `${text} There are more, which are not counted.` : text;
}

/** Returns the columns of places and the links between them. Without connections, new ones may go to every backend. */
function columns({ picture, frontends, backends }, isNarrow) {
  if (picture.flows === 0) {
    const places = (names) => names.slice(0, 8).map((name) => ({ name, flows: 0 }));
    const from = places(frontends.map((frontend) => frontend.address));
    const to = places(backends.filter((backend) => backend.state === "serving").map((backend) => backend.address));
    const links = from.flatMap((_, start) => to.map((_to, end) => ({ from: start, to: end, flows: 0 })));
    return [[["dialled", from], ["backends", to]], [links]];
  }
  const three = [["clients", picture.clients], ["dialled", picture.frontends], ["backends", picture.backends]];
  const links = [picture.arrivals, picture.deliveries];
  return isNarrow ? [three.slice(1), links.slice(1)] : [three, links];
}

function draw() {
  const holder = byId("picture");
  const width = Math.floor(holder.clientWidth);
  if (!last || width < 100) return;
  const [shown, links] = columns(last, width < NARROW);
  const scale = scaleOf(shown, last.picture.flows);
  const placed = shown.map(([title, places], index) => place(title, places, scale, index, shown.length, width));
  const height = Math.max(...placed.map((column) => column.end), TOP) + 4;
  const picture = drawn("svg", {
    class: "picture", role: "img", viewBox: `0 0 ${width} ${height}`, height, "aria-label": caption(last),
  });
  links.forEach((list, index) => picture.append(...curves(list, placed[index], placed[index + 1], scale)));
  placed.forEach((column) => picture.append(...bars(column)));
  if (!holder.firstChild?.isEqualNode(picture)) holder.replaceChildren(picture);
}

/** Returns how many pixels a connection is wide, so that no column is too high. */
function scaleOf(shown, flows) {
  const most = Math.max(...shown.map(([, places]) => places.length), 1);
  return flows ? Math.max(MOST, 22 * most) / flows : 0;
}

const thickness = (flows, scale) => Math.max(flows * scale, LEAST);

function place(title, places, scale, index, of, width) {
  const x = Math.round(((width - BAR) * index) / (of - 1));
  let end = TOP;
  const boxes = places.map((one) => {
    const box = { ...one, y: end + LABEL, height: thickness(one.flows, scale), out: 0, in: 0 };
    end = box.y + box.height + GAP;
    return box;
  });
  const anchor = index === 0 ? "start" : index === of - 1 ? "end" : "middle";
  const textX = anchor === "start" ? 0 : anchor === "end" ? width : x + BAR / 2;
  return { title, boxes, x, end, anchor, textX };
}

function curves(list, from, to, scale) {
  const middle = (from.x + BAR + to.x) / 2;
  return list.map((link) => {
    const [start, end] = [from.boxes[link.from], to.boxes[link.to]];
    const wide = link.flows * scale;
    const y1 = start.y + (wide ? start.out + wide / 2 : start.height / 2);
    const y2 = end.y + (wide ? end.in + wide / 2 : end.height / 2);
    start.out += wide;
    end.in += wide;
    const d = `M${from.x + BAR} ${y1.toFixed(1)} C${middle} ${y1.toFixed(1)} ${middle} ${y2.toFixed(1)} ${to.x} ${y2.toFixed(1)}`;
    return drawn("path", { class: wide ? "flow" : "flow idle", d, "stroke-width": wide ? Math.max(wide, 1).toFixed(1) : 1 });
  });
}

function bars({ title, boxes, x, anchor, textX }) {
  const text = (attributes, ...parts) => drawn("text", { x: textX, "text-anchor": anchor, ...attributes }, ...parts);
  return [
    text({ y: 14, class: "title" }, title),
    ...boxes.flatMap((box) => [
      drawn("rect", { class: "bar-of", x, y: box.y.toFixed(1), width: BAR, height: box.height.toFixed(1), rx: 2 }),
      text({ y: (box.y - 5).toFixed(1) }, box.name, box.flows ? drawn("tspan", { class: "count", dx: 8 }, whole(box.flows)) : null),
    ]),
  ];
}

new ResizeObserver(draw).observe(byId("picture"));
