// Formats numbers, times and names for people.

const UNITS = ["", "k", "M", "G", "T"];

/** Formats a number with three or four significant digits, as `waggle top` does; "–" if it is not known. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  let unit = 0;
  let rest = value;
  while (rest >= 999.5 && unit < UNITS.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  if (rest === 0) return "0";
  const digits = rest < 99.95 && (unit > 0 || !Number.isInteger(rest)) ? rest.toFixed(1) : rest.toFixed(0);
  return digits + UNITS[unit];
}

/** Formats a count with separators. */
export const whole = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en").replaceAll(",", " "));

/** Formats a part of a whole in percent. */
export const percent = (part) => (part === null || part === undefined ? "–" : `${(part * 100).toFixed(1)} %`);

/** Formats a number of things: "1 backend", "2 backends". */
export const count = (number, one, many = `${one}s`) => `${whole(number)} ${number === 1 ? one : many}`;

/** Formats the time of a day. */
export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

/** Formats a day with its time. */
export const moment = (time) => `${new Date(time).toLocaleDateString("en-CA")} ${clock(time)}`;

/** Formats seconds as "3 h", "5 min" or "12 s". */
export function duration(seconds) {
  if (seconds >= 7200) return `${Math.round(seconds / 3600)} h`;
  if (seconds >= 120) return `${Math.round(seconds / 60)} min`;
  return `${seconds} s`;
}

/** Returns `namespace/name:port`. */
export const portName = ({ namespace, name, port }) => `${namespace}/${name}${port ? `:${port}` : ""}`;

/** Returns the address of a Service's view. */
export function portAddress({ namespace, name, port, protocol }) {
  return `#/service?${new URLSearchParams({ namespace, name, port, protocol })}`;
}
