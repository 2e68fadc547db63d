/**
 * Undo and redo of a drawing of zeros and ones: each step is the list of voxels that changed, and to
 * take a step back or again is to turn those voxels over.
 */

const LONGEST = 200;

export class History {
  /** @param {Uint8Array} drawing changed in place by its owner, who then commits */
  constructor(drawing) {
    this.drawing = drawing;
    this.committed = drawing.slice();
    this.steps = [];
    this.done = 0;
  }

  get canUndo() { return this.done > 0; }
  get canRedo() { return this.done < this.steps.length; }
  get undoLabel() { return this.steps[this.done - 1]?.label ?? ""; }
  get redoLabel() { return this.steps[this.done]?.label ?? ""; }

  /** Take what changed since the last step as one step; false where nothing did. */
  commit(label, details = {}) {
    const voxels = this.#changed();
    if (!voxels.length) return false;
    this.steps.length = this.done;
    this.steps.push({ label, voxels, ...details });
    if (this.steps.length > LONGEST) this.steps.shift();
    this.done = this.steps.length;
    for (const voxel of voxels) this.committed[voxel] = this.drawing[voxel];
    return true;
  }

  /** Forget what changed since the last step. */
  revert() {
    this.drawing.set(this.committed);
  }

  /** The step taken back, or null. */
  undo() {
    return this.canUndo ? this.#turn(this.steps[--this.done]) : null;
  }

  /** The step taken again, or null. */
  redo() {
    return this.canRedo ? this.#turn(this.steps[this.done++]) : null;
  }

  /** Steps that stand, newest last. */
  standing() {
    return this.steps.slice(0, this.done);
  }

  #turn(step) {
    this.revert();
    for (const voxel of step.voxels) {
      this.drawing[voxel] ^= 1;
      this.committed[voxel] = this.drawing[voxel];
    }
    return step;
  }

  #changed() {
    const voxels = [];
    const { drawing, committed } = this;
    for (let n = 0; n < drawing.length; n++) if (drawing[n] !== committed[n]) voxels.push(n);
    return Uint32Array.from(voxels);
  }
}
