/**
 * The drawing of one case: the voxels, what undoes them, what they differ from the model's mask by.
 */

import { NORMAL, paintStroke } from "./brush.js";
import { growRegion } from "./grow.js";
import { History } from "./history.js";
import { interpolateSlices } from "./interpolate.js";
import { measure } from "./measures.js";
import { ADDED, REMOVED } from "./viewer.js";

export class Drawing extends EventTarget {
  /** @param viewer shows it @param {Uint8Array} file the mask to begin with, in its file's order */
  constructor(viewer, file) {
    super();
    this.viewer = viewer;
    this.grid = viewer.grid;
    this.voxels = this.grid.toDrawing(file);
    const back = this.grid.toFile(this.voxels);
    if (back.some((value, n) => value !== file[n])) throw new Error("The mask does not come back as it was.");
    this.history = new History(this.voxels);
    this.saved = this.voxels.slice();
    this.model = null;
    this.comparing = false;
    this.show();
  }

  /** The mask in its file's order. */
  toFile() {
    return this.grid.toFile(this.voxels);
  }

  get measures() {
    return this.measuresOf(this.voxels);
  }

  measuresOf(voxels) {
    return measure(voxels, this.grid);
  }

  /** The voxel of the drawing that is nearest to its middle, in the fullest axial slice; null if empty. */
  middle() {
    const slice = this.measures.diameters?.slice;
    if (slice === undefined) return null;
    const [nx, ny] = this.grid.size;
    const places = [];
    for (let n = slice * nx * ny; n < (slice + 1) * nx * ny; n++) if (this.voxels[n]) places.push(this.grid.at(n));
    const mean = [0, 1].map((axis) => places.reduce((sum, at) => sum + at[axis], 0) / places.length);
    const apart = (at) => Math.hypot(at[0] - mean[0], at[1] - mean[1]);
    return places.reduce((best, at) => (apart(at) < apart(best) ? at : best));
  }

  get isSaved() {
    return this.voxels.every((value, n) => value === this.saved[n]);
  }

  markSaved(voxels) {
    this.saved = voxels;
    this.#changed();
  }

  /** Part of a stroke, shown at once; `commit` makes the stroke one step. */
  paint(stroke) {
    paintStroke(this.voxels, this.grid, stroke);
    this.show();
  }

  commit(label, details) {
    const did = this.history.commit(label, details);
    this.show();
    if (did) this.#changed();
    return did;
  }

  revert() {
    this.history.revert();
    this.show();
  }

  /** @returns {number} voxels added */
  grow({ seed, tolerance, radius, plane }) {
    const { data, slope } = this.viewer.values;
    const options = { seed, tolerance: tolerance / slope, radius, normal: plane ? NORMAL[plane] : null };
    const added = growRegion(this.voxels, this.grid, data, options);
    this.commit("grow", plane && { plane, slices: [seed[NORMAL[plane]]] });
    return added;
  }

  /** Fill between the slices drawn in since the drawing was saved. @returns {number[]} */
  interpolate(plane) {
    const drawn = this.history.standing().filter((step) => step.plane === plane && step.slices);
    const slices = [...new Set(drawn.flatMap((step) => step.slices))];
    const written = interpolateSlices(this.voxels, this.grid, plane, slices);
    return this.commit("interpolation") ? written : [];
  }

  /** Take another mask as one step, which undo takes back. @param {Uint8Array} file in its file's order */
  replace(file, label) {
    this.voxels.set(this.grid.toDrawing(file));
    this.commit(label);
  }

  undo() {
    return this.#step(this.history.undo());
  }

  redo() {
    return this.#step(this.history.redo());
  }

  #step(step) {
    if (!step) return null;
    this.show();
    this.#changed();
    return step.label;
  }

  /** Show what is added to and removed from the model's mask in colours of their own. */
  compare(comparing) {
    this.comparing = comparing && this.model !== null;
    this.show();
  }

  show() {
    this.viewer.setDrawing(this.comparing ? this.#differences() : this.voxels);
  }

  #differences() {
    return this.voxels.map((value, n) => (value === this.model[n] ? value : value ? ADDED : REMOVED));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
