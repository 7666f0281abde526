// Draws how a rate was in the last minute, and says it in words.

import { drawn, setAttribute } from "./dom.js";
import { short } from "./format.js";

const SAMPLES = 60;
const HEIGHT = 20;

/** Makes an empty chart. */
export function spark() {
  return drawn(
    "svg",
    { class: "spark", role: "img", viewBox: `0 0 ${SAMPLES - 1} ${HEIGHT}`, preserveAspectRatio: "none" },
    drawn("path", { class: "area" }),
    drawn("line", { class: "base", x1: 0, x2: SAMPLES - 1, y1: HEIGHT, y2: HEIGHT }),
    drawn("path", { class: "line" }),
  );
}

/** Shows samples, the oldest first; null is a gap. `what` names them. */
export function showSpark(chart, samples, what) {
  const known = samples.filter((sample) => sample !== null);
  const most = Math.max(...known, 0);
  const [area, , line] = chart.children;
  const points = samples.map((sample, index) =>
    sample === null ? null : [index + SAMPLES - samples.length, HEIGHT - (most ? (sample / most) * (HEIGHT - 2) : 0)]);
  const runs = split(points).map((run) => run.map(([x, y]) => `${x} ${y.toFixed(2)}`).join(" L"));
  setAttribute(line, "d", runs.map((run) => `M${run}`).join(" "));
  const areas = split(points).map((run, index) => `M${run[0][0]} ${HEIGHT} L${runs[index]} L${run.at(-1)[0]} ${HEIGHT} Z`);
  setAttribute(area, "d", areas.join(" "));
  const words = known.length < 2
    ? `${what}: not known yet`
    : `${what} in the last ${known.length} samples: from ${short(Math.min(...known))} to ${short(most)}, now ${short(known.at(-1))}`;
  setAttribute(chart, "aria-label", words);
}

/** Returns the runs of points between gaps. */
function split(points) {
  const runs = [];
  let run = [];
  for (const point of [...points, null]) {
    if (point) {
      run.push(point);
    } else {
      if (run.length) runs.push(run);
      run = [];
    }
  }
  return runs;
}
