/** Layouts, tools and their settings, above the image. */

import { checkbox, choice, slider } from "./controls.js";
import { h } from "./dom.js";
import * as preferences from "./preferences.js";

const LAYOUTS = [["all", "All", "1"], ["axial", "Axial", "2"], ["coronal", "Coronal", "3"], ["sagittal", "Sagittal", "4"], ["render", "3-D", "5"]];
const TOOLS = [["look", "Look", "L"], ["pen", "Pen", "P"], ["eraser", "Eraser", "E"], ["grow", "Grow", "G"]];

export class Toolbar {
  /** @param {(action: string) => void} act carries out an action of the shortcuts */
  constructor(act) {
    this.settings = { tool: "look", radius: preferences.get("radius"), ball: false, share: 0.12, reach: 20, flat: false };
    this.layout = choice("Layout", LAYOUTS, preferences.get("layout"), act);
    this.tools = choice("Tool", TOOLS, "look", act);
    this.size = slider("Size", { min: 0.5, max: 15, step: 0.5, value: this.settings.radius, show: (mm) => `${mm} mm`, onInput: (mm) => this.#setRadius(mm) });
    const ball = checkbox("Ball", false, (on) => { this.settings.ball = on; }, { title: "Draw in three dimensions" });
    const share = slider("Tolerance", { min: 0.02, max: 0.5, step: 0.01, value: 0.12, show: (v) => `${Math.round(v * 100)} %`, onInput: (v) => { this.settings.share = v; } });
    const reach = slider("Reach", { min: 5, max: 60, step: 1, value: 20, show: (mm) => `${mm} mm`, onInput: (mm) => { this.settings.reach = mm; } });
    const flat = checkbox("This slice only", false, (on) => { this.settings.flat = on; });
    this.ofLook = h("p.hint", {}, "Left button: crosshair. Right button: window and level. Wheel: slices.");
    this.ofBrush = h("div.tool", { "data-of": "brush" }, this.size, ball);
    this.ofGrow = h("div.tool", { "data-of": "grow" }, share, reach, flat);
    this.undo = this.#button("undo", "Undo", "Control+Z", act);
    this.redo = this.#button("redo", "Redo", "Control+Shift+Z", act);
    this.interpolate = this.#button("interpolate", "Interpolate", "I", act);
    this.element = h("div.toolbar", { role: "toolbar", "aria-label": "Tools" },
      this.layout, this.tools, h("div.choice", {}, this.undo, this.redo, this.interpolate),
      h("div.settings", {}, this.ofLook, this.ofBrush, this.ofGrow));
    this.setTool("look");
  }

  setTool(tool) {
    this.settings.tool = tool;
    this.tools.set(tool);
    this.ofLook.hidden = tool !== "look";
    this.ofBrush.hidden = tool !== "pen" && tool !== "eraser";
    this.ofGrow.hidden = tool !== "grow";
  }

  resize(by) {
    this.size.set(this.settings.radius + by);
    this.#setRadius(Math.min(15, Math.max(0.5, this.settings.radius + by)));
  }

  /** @param history the drawing's */
  showHistory(history) {
    this.undo.disabled = !history.canUndo;
    this.redo.disabled = !history.canRedo;
    this.undo.title = history.canUndo ? `Undo the ${history.undoLabel} (Ctrl Z)` : "Nothing to undo";
    this.redo.title = history.canRedo ? `Redo the ${history.redoLabel} (Ctrl Shift Z)` : "Nothing to redo";
  }

  #setRadius(mm) {
    this.settings.radius = mm;
    preferences.set("radius", mm);
  }

  #button(action, text, shortcut, act) {
    return h("button", { type: "button", "data-action": action, "aria-keyshortcuts": shortcut, onclick: () => act(action) }, text);
  }
}
