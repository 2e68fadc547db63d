/** Numbers and times as a reader expects them. */

const NONE = "–";
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

export const ml = (value) => (known(value) ? `${value.toFixed(value < 10 ? 2 : 1)} mL` : NONE);
/** Both ends with the digits that the upper one deserves. */
export function between([low, high]) {
  const digits = high >= 100 ? 0 : high >= 1 ? 1 : 2;
  return `${low.toFixed(digits)} to ${high.toFixed(digits)}`;
}
export const mm = (value) => (known(value) ? `${value.toFixed(1)} mm` : NONE);
export const percent = (share) => (known(share) ? `${Math.round(share * 100)} %` : NONE);
export const score = (value) => (known(value) ? value.toFixed(3) : NONE);

/** With its sign; the minus sign is a real one. */
export function signed(value, digits = 3) {
  return known(value) ? `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}` : NONE;
}

/** The name of a quality check as words, and of what the model does not know in those of the field. */
export const checkName = (name) => (name === "familiarity" ? "unlike the training scans" : name.replaceAll(/[-_]/g, " "));

/** By how much a value has changed, in per cent of what it was. */
export function change(before, after) {
  return before > 0 ? `${signed((after / before - 1) * 100, 1)} %` : NONE;
}

export function pair(diameters) {
  return diameters ? `${diameters.largest.toFixed(1)} × ${diameters.across.toFixed(1)}` : NONE;
}

export function when(text) {
  const date = new Date(text);
  if (!text || Number.isNaN(date.getTime())) return NONE;
  return date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
