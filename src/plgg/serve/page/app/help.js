/** The shortcuts: one table, by which the case view listens and the help dialog reads. */

import { h } from "./dom.js";

/** [action, what it does, keys as they are shown, test of a key event] */
const key = (...names) => (event) => !event.ctrlKey && !event.metaKey && !event.altKey && names.includes(event.key);
const control = (name, shift = false) => (event) =>
  (event.ctrlKey || event.metaKey) && event.shiftKey === shift && event.key.toLowerCase() === name;

export const SHORTCUTS = [
  ["Tools", [
    ["look", "Look: move the crosshair", "L", key("l", "L")],
    ["pen", "Pen", "P", key("p", "P")],
    ["eraser", "Eraser (or hold Alt with the pen)", "E", key("e", "E")],
    ["grow", "Grow from where you click", "G", key("g", "G")],
    ["smaller", "Smaller brush", "[", key("[")],
    ["larger", "Larger brush", "]", key("]")],
    ["stamp", "Use the tool at the crosshair", "Enter", key("Enter")],
    ["interpolate", "Interpolate between drawn slices", "I", key("i", "I")],
    ["undo", "Undo", "Ctrl Z", control("z")],
    ["redo", "Redo", "Ctrl Shift Z, Ctrl Y", (event) => control("z", true)(event) || control("y")(event)],
  ]],
  ["View", [
    ["all", "Three planes and 3-D", "1", key("1")],
    ["axial", "Axial", "2", key("2")],
    ["coronal", "Coronal", "3", key("3")],
    ["sagittal", "Sagittal", "4", key("4")],
    ["render", "3-D", "5", key("5")],
    ["outline", "Outline on or off", "O", key("o", "O")],
    ["probability", "Probability on or off", "B", key("b", "B")],
    ["uncertainty", "Uncertainty on or off", "U", key("u", "U")],
    ["compare", "Changes to the model's mask", "C", key("c", "C")],
    ["window", "Reset window and level", "W", key("w", "W")],
    ["tumour", "Go to the middle of the tumour", "T", key("t", "T")],
  ]],
  ["Crosshair (when the image has the focus)", [
    ["left", "Left on the screen", "←", key("ArrowLeft")],
    ["right", "Right on the screen", "→", key("ArrowRight")],
    ["front", "Anterior", "↑", key("ArrowUp")],
    ["back", "Posterior", "↓", key("ArrowDown")],
    ["up", "A slice up", "Page Up", key("PageUp")],
    ["down", "A slice down", "Page Down", key("PageDown")],
  ]],
  ["Work", [
    ["save", "Save", "Ctrl S", control("s")],
    ["next", "Next case", "N", key("n", "N")],
    ["help", "These shortcuts", "?", key("?")],
  ]],
];

/** The action that a key event asks for, or null. */
export function actionOf(event) {
  for (const [, rows] of SHORTCUTS) {
    for (const [action, , , asks] of rows) if (asks(event)) return action;
  }
  return null;
}

const MOUSE = [
  ["Left button", "the tool, in a slice; turns in 3-D"], ["Right button, dragged", "window and level"],
  ["Wheel", "through the slices"], ["Two fingers", "zoom and move"],
];

export function openHelp() {
  if (document.querySelector("dialog.help")) return;
  const table = ([title, rows]) => h("section", {}, h("h3", {}, title), h("dl", {},
    rows.map(([, what, keys]) => [h("dt", {}, keys.split(", ").map((one) => h("kbd", {}, one))), h("dd", {}, what)])));
  const dialog = h("dialog.help", { "aria-labelledby": "help-title" },
    h("form", { method: "dialog" },
      h("div.title", {}, h("h2", { id: "help-title" }, "Shortcuts"), h("button", { autofocus: true }, "Close")),
      h("div.columns", {}, SHORTCUTS.map(table),
        h("section", {}, h("h3", {}, "Mouse and touch"),
          h("dl", {}, MOUSE.map(([keys, what]) => [h("dt", {}, keys), h("dd", {}, what)]))))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
