/** The side panel of a case: measures before and after, the outline, overlays, the scan, the edits. */

import { checkbox, choice, panel, slider } from "./controls.js";
import { fill, h } from "./dom.js";
import { change, ml, pair, percent, score, when } from "./format.js";
import * as preferences from "./preferences.js";
import { marker, verdictTags } from "./worklist.js";

const LEGENDS = {
  probability: ["Probability of tumour", "0", "1"],
  uncertainty: ["Uncertainty", "sure", "unsure"],
};

const product = (diameters) => (diameters?.largest ?? 0) * (diameters?.across ?? 0);

export class Side {
  /** @param c the case @param {object} act what the controls do */
  constructor(c, act) {
    this.act = act;
    this.table = h("tbody");
    this.edits = h("ol.edits");
    this.saving = this.#saving();
    this.window = this.#windowPanel();
    this.overlay = this.#overlayPanel(Object.keys(c.files));
    this.outline = checkbox("Outline", preferences.get("outline"), () => act.setOutline());
    this.inside = slider("Fill", { min: 0, max: 0.9, step: 0.05, value: preferences.get("fill"), show: percent, onInput: () => act.setOutline() });
    this.compare = checkbox("Changes to the model's mask", false, (on) => act.compare(on));
    const legend = h("p.legend.changes", {}, h("span.added", {}, "added"), h("span.removed", {}, "removed"));
    this.element = h("aside.side", { "aria-label": "Case" },
      this.saving,
      panel("Measures", this.#measureTable(), h("p.hint", {}, "Largest axial diameters of the outline's hull, and the change of their product.")),
      panel("Outline", this.outline, this.inside, this.compare, legend),
      this.overlay, this.window, panel("Scan and model", this.#facts(c)), panel("Masks", this.edits));
  }

  /** @param now measures of the drawing @param before of the model's mask */
  showMeasures(before, now, isSaved) {
    const row = (title, was, is, delta) => h("tr", {}, h("th", { scope: "row" }, title), h("td", {}, was), h("td.now", {}, is), h("td", {}, delta));
    const [d, e] = [before?.diameters, now.diameters];
    fill(this.table,
      row("Volume", ml(before?.volumeMl), ml(now.volumeMl), change(before?.volumeMl, now.volumeMl)),
      row("Axial, mm", pair(d), pair(e), change(product(d), product(e))));
    this.save.disabled = isSaved;
    this.status.textContent = isSaved ? "All saved" : "Not saved yet";
    this.status.className = isSaved ? "muted" : "unsaved";
  }

  /** @param c the case with its edits @param {number|null} shown the edit that the drawing began with */
  showEdits(c) {
    const entry = (number, ...text) => h("li", {}, h("span", {}, ...text),
      h("button.quiet", { type: "button", "aria-label": number ? `Use mask ${number}` : "Use the model's mask", onclick: () => this.act.take(number) }, "Use"));
    const edits = [...c.edits].reverse().map((edit) => entry(edit.number,
      h("strong", {}, `${edit.number}`), ` ${edit.who || "no name"} · ${when(edit.when)}`,
      h("small", {}, `${ml(edit.volume_ml)}, Dice ${score(edit.dice_to_base)} to the model's`)));
    fill(this.edits, edits, entry(0, h("strong", {}, "Model"), ` ${c.model ?? ""}`, h("small", {}, ml(c.result?.volume_ml))));
  }

  setWindow([low, high]) {
    this.level.set((low + high) / 2);
    this.width.set(high - low);
  }

  setWindowRange([low, high]) {
    const span = Math.max(high - low, 1e-6);
    const limits = { min: low, max: high, step: span / 500 };
    for (const [name, value] of Object.entries(limits)) this.level.querySelector("input").setAttribute(name, value);
    for (const [name, value] of Object.entries({ min: span / 500, max: span, step: span / 500 })) this.width.querySelector("input").setAttribute(name, value);
  }

  #saving() {
    this.status = h("span.muted", { role: "status", id: "saved" }, "All saved");
    this.save = h("button.primary", { type: "button", "data-action": "save", "aria-keyshortcuts": "Control+S", disabled: true, onclick: () => this.act.save() }, "Save");
    this.user = h("input", { type: "text", maxlength: 40, placeholder: "initials", autocomplete: "off", value: preferences.get("user"), onchange: () => preferences.set("user", this.user.value.trim()) });
    return h("section.panel.saving", { "aria-label": "Save" }, h("div", {}, this.save, this.status), h("label", {}, "Reader ", this.user));
  }

  #measureTable() {
    const head = ["", "Model", "Now", "Change"].map((text) => h("th", { scope: "col" }, text));
    return h("table.measures", { "aria-live": "off" }, h("thead", {}, h("tr", {}, head)), this.table);
  }

  #overlayPanel(files) {
    const choices = [["none", "None", "–"], ["probability", "Probability", "B"], ["uncertainty", "Uncertainty", "U"]];
    this.overlays = choice("Overlay", choices.filter(([name]) => name === "none" || files.includes(name)), "none", (name) => this.act.setOverlay(name));
    this.opacity = slider("Opacity", { min: 0.1, max: 1, step: 0.05, value: preferences.get("overlayOpacity"), show: percent, onInput: (v) => this.act.setOverlayOpacity(v) });
    this.scale = h("div.scale", { hidden: true });
    return panel("Overlay", this.overlays, this.opacity, this.scale);
  }

  showOverlay(name) {
    this.overlays.set(name);
    this.scale.hidden = name === "none";
    this.opacity.hidden = name === "none";
    if (name === "none") return;
    const [title, low, high] = LEGENDS[name];
    fill(this.scale, h("span", {}, low), h(`span.ramp.${name}`, { role: "img", "aria-label": title }), h("span", {}, high));
  }

  #windowPanel() {
    const show = (v) => (Math.abs(v) < 10 ? v.toFixed(2) : v.toFixed(0));
    const moved = () => this.act.setWindow(Number(this.level.querySelector("input").value), Number(this.width.querySelector("input").value));
    this.level = slider("Level", { min: 0, max: 1, step: 0.01, value: 0.5, show, onInput: moved });
    this.width = slider("Window", { min: 0, max: 1, step: 0.01, value: 1, show, onInput: moved });
    return panel("Window and level", this.width, this.level, h("button.quiet", { type: "button", onclick: () => this.act.resetWindow() }, "Reset (W)"));
  }

  #facts(c) {
    const fact = (title, ...value) => [h("dt", {}, title), h("dd", {}, ...value)];
    const doubts = c.verdicts.filter((v) => v.verdict !== "good").map((v) => h("li", {}, v.message));
    return [
      h("dl.facts", {}, fact("Scan", verdictTags(c.verdicts)), fact("Marker", marker(c)), fact("Certainty", percent(c.certainty)),
        fact("Model", c.model ?? "–")),
      doubts.length ? h("ul.doubts", {}, doubts) : null,
      h("p", {}, h("a", { href: `/api/v1/cases/${encodeURIComponent(c.id)}/report.html`, target: "_blank", rel: "noopener" }, "The case's report")),
    ];
  }
}
