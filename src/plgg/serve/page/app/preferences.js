/** What one reader likes, kept in this browser; nothing about cases. */

const KEY = "plgg";
const DEFAULTS = {
  user: "", strategy: "entropy", layout: "all", radius: 3, outline: true, fill: 0.25,
  overlayOpacity: 0.5, sort: { key: "created", down: true },
};

let values = { ...DEFAULTS };
try {
  values = { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
} catch {
  // A browser that keeps nothing gives the defaults.
}

export const get = (name) => values[name];

export function set(name, value) {
  values[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(values));
  } catch {
    // As above.
  }
}
