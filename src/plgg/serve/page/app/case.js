/** One case: shown, drawn in, compared, saved. */

import * as api from "./api.js";
import { $, ask, download, fill, h, notify, notifyError } from "./dom.js";
import { Drawing } from "./drawing.js";
import { actionOf, openHelp } from "./help.js";
import { pack, readMask, unpack, writeMask } from "./nifti.js";
import { Painter } from "./painter.js";
import * as preferences from "./preferences.js";
import { PushPanel } from "./push.js";
import { Side } from "./side.js";
import { openSlices } from "./slices.js";
import { Toolbar } from "./toolbar.js";
import { hasWebGl2, Viewer } from "./viewer.js";
import { goToNext, nextControls } from "./worklist.js";

const LAYOUTS = ["all", "axial", "coronal", "sagittal", "render"];
const TOOLS = ["look", "pen", "eraser", "grow"];
// The viewer's x runs to the patient's left-to-right; on the screen it is mirrored.
const MOVES = { left: [0, 1], right: [0, -1], front: [1, 1], back: [1, -1], up: [2, 1], down: [2, -1] };

export async function openCase(main, { id, info, refresh }) {
  const c = await api.getCase(id);
  if (c.state !== "done") throw new Error(c.error ?? "This case is not ready yet.");
  document.title = `${c.id} – plgg`;
  if (!hasWebGl2()) return openSlices(main, c, "This browser has no WebGL 2: the slices can be looked at, and not drawn in.", info.push);
  const view = new CaseView(c, refresh, info.push);
  fill(main, view.element);
  try {
    await view.load();
  } catch (error) {
    view.close();
    if (error instanceof api.ApiError) throw error;
    return openSlices(main, c, `The case cannot be drawn in. ${error.message}`, info.push);
  }
  return { close: () => view.close(), mayLeave: () => view.mayLeave(), unsaved: () => !view.drawing.isSaved };
}

class CaseView {
  constructor(c, refresh, mayPush) {
    Object.assign(this, { case: c, refresh, overlay: "none", minutes: new Minutes() });
    this.toolbar = new Toolbar((action) => this.act(action));
    this.side = new Side(c, {
      save: () => this.act("save"), take: (edit) => this.take(edit), compare: (on) => this.compare(on), setOutline: () => this.setOutline(),
      setOverlay: (name) => this.setOverlay(name), setOverlayOpacity: (value) => this.setOverlayOpacity(value),
      setWindow: (level, width) => this.viewer.setWindow(level - width / 2, level + width / 2), resetWindow: () => this.act("window"),
    });
    this.push = mayPush ? new PushPanel(c, () => !this.drawing || this.drawing.isSaved) : null;
    if (this.push) this.side.element.append(this.push.element);
    this.canvas = h("canvas", { tabindex: 0, role: "application", "aria-label": `Slices of ${c.id}. Arrow keys and Page Up and Down move the crosshair, Enter uses the tool there.` });
    this.place = h("p.place", { role: "status", "aria-live": "off" });
    this.stage = h("div.stage", {}, this.canvas, h("div.ring", { hidden: true }), h("p.loading", {}, "Loading the scan …"));
    this.element = h("div.case", {},
      h("div.bar", {}, h("a.back", { href: "#/cases", "aria-label": "Back to the work list" }, "←"), h("h1", {}, c.id), nextControls(), doubtNote(c)),
      this.toolbar.element, h("div.view", {}, this.stage, this.place), this.side.element);
    this.element.view = this;
    this.onKey = (event) => this.#key(event);
    addEventListener("keydown", this.onKey, { capture: true });
  }

  async load() {
    const { id, affine } = this.case;
    const [volume, mask] = await Promise.all([api.getFile(id, "volume"), api.getFile(id, "mask")]);
    this.etag = mask.etag;
    this.like = await unpack(mask.bytes);
    this.viewer = await Viewer.open(this.canvas);
    await this.viewer.show(volume.bytes, affine);
    this.drawing = new Drawing(this.viewer, readMask(this.like));
    await this.#readModelMask();
    this.#connect();
    $(".loading", this.stage).remove();
    this.element.dataset.ready = "true";
  }

  async #readModelMask() {
    const file = this.case.n_edits ? await api.getFile(this.case.id, "mask", 0) : null;
    const drawing = file ? this.viewer.grid.toDrawing(readMask(await unpack(file.bytes))) : this.drawing.voxels.slice();
    this.drawing.model = drawing;
    this.before = this.drawing.measuresOf(drawing);
  }

  #connect() {
    const { viewer, drawing, side } = this;
    this.painter = new Painter(this.stage, viewer, drawing, () => this.#settings());
    drawing.addEventListener("change", () => this.#showDrawing());
    side.setWindowRange(viewer.range);
    side.setWindow(viewer.window);
    viewer.onWindow = () => side.setWindow(viewer.window);
    viewer.onLocation = (at) => this.#showPlace(at);
    side.showEdits(this.case);
    side.showOverlay("none");
    viewer.setLayout(preferences.get("layout"));
    this.setOutline();
    this.act("tumour");
    this.#showDrawing();
  }

  #settings() {
    const { settings } = this.toolbar;
    const [low, high] = this.viewer.autoWindow;
    return { ...settings, tolerance: settings.share * (high - low) };
  }

  #showDrawing() {
    this.toolbar.showHistory(this.drawing.history);
    this.side.showMeasures(this.before, this.drawing.measures, this.drawing.isSaved);
  }

  #showPlace({ voxel, mm, value }) {
    const number = Number.isInteger(value) ? value : value.toPrecision(4);
    this.place.textContent = `x ${mm[0].toFixed(1)}  y ${mm[1].toFixed(1)}  z ${mm[2].toFixed(1)} mm   ·   slice ${voxel[2] + 1} of ${this.viewer.grid.size[2]}   ·   value ${number}`;
  }

  #key(event) {
    if (event.target.closest("input:not([type=range]):not([type=checkbox]), select, textarea, dialog")) return;
    const action = actionOf(event);
    if (!action || !this.drawing) return;
    if (action in MOVES && event.target !== this.canvas) return;
    if (action === "stamp" && event.target !== this.canvas) return;
    event.preventDefault();
    // NiiVue has keys of its own.
    event.stopPropagation();
    this.act(action);
  }

  /** Carry out an action of the shortcuts or of a button. */
  act(action) {
    if (action in MOVES) return this.viewer.moveCrosshair(...MOVES[action]);
    if (TOOLS.includes(action)) return this.toolbar.setTool(action);
    if (LAYOUTS.includes(action)) return this.#setLayout(action);
    if (action === "probability" || action === "uncertainty") return this.setOverlay(this.overlay === action ? "none" : action);
    const actions = {
      smaller: () => this.toolbar.resize(-0.5), larger: () => this.toolbar.resize(0.5), stamp: () => this.painter.stamp(),
      undo: () => this.#say(this.drawing.undo(), "Undone"), redo: () => this.#say(this.drawing.redo(), "Done again"),
      interpolate: () => this.#interpolate(), save: () => this.save(), next: () => goToNext().catch(notifyError), help: openHelp,
      outline: () => { this.side.outline.set(!this.side.outline.get()); this.setOutline(); },
      compare: () => this.compare(!this.drawing.comparing), window: () => this.#resetWindow(), tumour: () => this.#goToTumour(),
    };
    return actions[action]?.();
  }

  #say(label, what) {
    if (label) this.place.textContent = `${what}: ${label}`;
  }

  #setLayout(name) {
    preferences.set("layout", name);
    this.toolbar.layout.set(name);
    this.viewer.setLayout(name);
  }

  #resetWindow() {
    this.viewer.setWindow(...this.viewer.autoWindow);
    this.side.setWindow(this.viewer.window);
  }

  #interpolate() {
    const { plane } = this.painter;
    const slices = this.drawing.interpolate(plane);
    notify(slices.length ? `${slices.length} ${plane} slices were filled in between.` : `Draw in two ${plane} slices that are not neighbours first.`);
  }

  #goToTumour() {
    const middle = this.drawing.middle();
    if (middle) this.viewer.crosshair = middle;
  }

  setOutline() {
    const [outline, inside] = [this.side.outline.get(), Number($("input", this.side.inside).value)];
    preferences.set("outline", outline);
    preferences.set("fill", inside);
    this.viewer.setOutline(outline, inside);
  }

  compare(on) {
    this.drawing.compare(on);
    this.side.compare.set(on);
  }

  setOverlayOpacity(value) {
    preferences.set("overlayOpacity", value);
    this.setOverlay(this.overlay);
  }

  async setOverlay(name) {
    this.overlay = name;
    this.side.showOverlay(name);
    const fetchBytes = async () => (await api.getFile(this.case.id, name)).bytes;
    try {
      await this.viewer.setOverlay(name === "none" ? null : name, preferences.get("overlayOpacity"), fetchBytes);
    } catch (error) {
      this.side.showOverlay("none");
      notifyError(error);
    }
  }

  /** Take another mask of the case into the drawing; undo brings back what was there. */
  async take(edit) {
    try {
      const { bytes } = await api.getFile(this.case.id, "mask", edit);
      this.drawing.replace(readMask(await unpack(bytes)), edit ? `taking of mask ${edit}` : "taking of the model's mask");
    } catch (error) {
      notifyError(error);
    }
  }

  async save() {
    if (this.saving || this.drawing.isSaved) return;
    this.saving = true;
    this.side.save.disabled = true;
    const voxels = this.drawing.voxels.slice();
    const file = await pack(writeMask(this.like, this.drawing.toFile()));
    try {
      const answer = await api.putMask(this.case.id, file, { etag: this.etag, minutes: this.minutes.spent, user: preferences.get("user") });
      await this.#saved(answer, voxels);
    } catch (error) {
      this.saving = false;
      this.side.save.disabled = false;
      if (error.status === 409) await this.#stale(error, file);
      else notifyError(error);
    }
  }

  async #saved(answer, voxels) {
    this.etag = answer.etag;
    this.drawing.markSaved(voxels);
    this.minutes.restart();
    // What is drawn from here on can be saved, while the list of masks is still being asked for.
    this.saving = false;
    notify(`Saved as mask ${answer.edit}.`);
    await this.#reload();
  }

  async #reload() {
    this.case = await api.getCase(this.case.id);
    this.side.showEdits(this.case);
    this.push?.show(this.case);
  }

  /** Someone has saved another mask since: the drawing stays, and the reader chooses. */
  async #stale(error, file) {
    const chosen = await ask({
      title: "A newer mask has been saved by someone else",
      body: h("p", {}, "Nothing is lost: your drawing is still here. You can keep it as a file, look at the newer mask (undo brings yours back), or save yours after it."),
      choices: [["keep", "Go on drawing"], ["download", "Download mine"], ["newer", "Load the newer"], ["after", "Save mine after it"]],
    });
    if (chosen === "download") download(file, `${this.case.id}-mask.nii.gz`);
    if (chosen === "newer") await this.#loadNewer();
    if (chosen === "after") {
      this.etag = error.etag;
      this.saving = false;
      await this.save();
    }
  }

  async #loadNewer() {
    const { bytes, etag } = await api.getFile(this.case.id, "mask");
    this.etag = etag;
    this.drawing.replace(readMask(await unpack(bytes)), "loading of the newer mask");
    this.drawing.markSaved(this.drawing.voxels.slice());
    await this.#reload();
  }

  async mayLeave() {
    if (!this.drawing || this.drawing.isSaved) return true;
    const chosen = await ask({
      title: "The drawing is not saved",
      body: h("p", {}, "Save it before you leave this case?"),
      choices: [["save", "Save and leave"], ["stay", "Stay"], ["discard", "Leave without it"]],
    });
    if (chosen === "save") await this.save();
    return chosen === "discard" || (chosen === "save" && this.drawing.isSaved);
  }

  close() {
    removeEventListener("keydown", this.onKey, { capture: true });
    this.minutes.stop();
    this.push?.close();
    this.viewer?.close();
    document.title = "plgg reading room";
  }
}

/** Why an outline that looks as sure as any other may be wrong. */
function doubtNote(c) {
  const doubts = c.verdicts.filter((v) => v.verdict !== "good");
  if (!doubts.length) return null;
  return h("p.doubt", { role: "note" },
    h("strong", {}, "Check this outline with care: "), `${doubts.map((v) => v.message).join("; ")}.`);
}

/** Minutes with the page in sight. */
class Minutes {
  constructor() {
    this.listener = () => {
      this.before = this.milliseconds;
      this.since = document.hidden ? null : performance.now();
    };
    document.addEventListener("visibilitychange", this.listener);
    this.restart();
  }

  restart() {
    this.before = 0;
    this.since = document.hidden ? null : performance.now();
  }

  stop() {
    document.removeEventListener("visibilitychange", this.listener);
  }

  get milliseconds() {
    return this.before + (this.since === null ? 0 : performance.now() - this.since);
  }

  get spent() {
    return this.milliseconds / 60000;
  }
}
