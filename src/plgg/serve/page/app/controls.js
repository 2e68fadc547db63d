/** The small controls that the case view is made of. */

import { h } from "./dom.js";

/** A slider with its label and value. @param {(value: number) => string} show */
export function slider(label, { min, max, step, value, show = String, onInput, attributes = {} }) {
  const output = h("output", {}, show(value));
  const input = h("input", {
    type: "range", min, max, step, value, "aria-label": label, ...attributes,
    oninput: () => { output.textContent = show(Number(input.value)); onInput(Number(input.value)); },
  });
  const row = h("label.slider", {}, h("span", {}, label), input, output);
  row.set = (to) => { input.value = to; output.textContent = show(Number(input.value)); };
  return row;
}

/** Buttons of which one is pressed. @param {[string, string, string][]} choices value, label, key */
export function choice(label, choices, value, onChoose) {
  const group = h("div.choice", { role: "group", "aria-label": label },
    choices.map(([name, text, shortcut]) => h("button", {
      type: "button", "data-value": name, "aria-keyshortcuts": shortcut, title: `${text} (${shortcut})`,
      onclick: () => { group.set(name); onChoose(name); },
    }, text)));
  group.set = (name) => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.value === name));
  };
  group.set(value);
  return group;
}

export function checkbox(label, checked, onChange, attributes = {}) {
  const input = h("input", { type: "checkbox", checked, onchange: () => onChange(input.checked), ...attributes });
  const row = h("label.check", {}, input, h("span", {}, label));
  row.set = (to) => { input.checked = to; };
  row.get = () => input.checked;
  return row;
}

/** A part of the side panel with its heading. */
export function panel(title, ...children) {
  return h("section.panel", { "aria-label": title }, h("h2", {}, title), ...children);
}
