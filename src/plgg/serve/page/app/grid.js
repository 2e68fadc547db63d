/**
 * The grid that is drawn on: the case's voxels in the viewer's order (right, anterior, superior).
 *
 * The viewer keeps an image as its file has it and shows it turned; the drawing lies in the turned
 * order. `Grid` maps one order to the other, and proves by the affine that the map is right before
 * anything is drawn.
 */

import { spacing } from "./nifti.js";

// Of world coordinates that the viewer and the server compute apart, in mm.
const TOLERANCE_MM = 0.01;

export class Grid {
  /** @param image NiiVue's image @param {number[][]} affine the case's own, voxel index to mm */
  constructor(image, affine) {
    this.affine = affine;
    this.shape = image.hdr.dims.slice(1, 4);
    this.size = image.dimsRAS.slice(1, 4);
    this.start = image.img2RASstart.reduce((sum, part) => sum + part, 0);
    this.step = image.img2RASstep.slice(0, 3);
    this.axes = image.permRAS.map((axis) => Math.abs(axis) - 1);
    const mm = spacing(affine);
    this.spacing = this.axes.map((axis) => mm[axis]);
    this.voxelMl = Math.abs(determinant(affine)) / 1000;
    this.voxels = this.size[0] * this.size[1] * this.size[2];
    this.matrix = Array.from(image.matRAS);
    this.#prove();
  }

  /** Place of a voxel in the drawing. */
  index(x, y, z) {
    return x + this.size[0] * (y + this.size[1] * z);
  }

  /** Place of the same voxel in the file. */
  fileIndex(x, y, z) {
    return this.start + x * this.step[0] + y * this.step[1] + z * this.step[2];
  }

  /** [x, y, z] of a place in the drawing. */
  at(index) {
    const [nx, ny] = this.size;
    return [index % nx, Math.floor(index / nx) % ny, Math.floor(index / (nx * ny))];
  }

  contains([x, y, z]) {
    return x >= 0 && y >= 0 && z >= 0 && x < this.size[0] && y < this.size[1] && z < this.size[2];
  }

  /** World coordinates in mm, by the case's affine. */
  mm([x, y, z]) {
    const ijk = this.#fileVoxel(x, y, z);
    return this.affine.slice(0, 3).map((row) => row[0] * ijk[0] + row[1] * ijk[1] + row[2] * ijk[2] + row[3]);
  }

  /** From the file's order to the drawing's. @param {ArrayLike<number>} file */
  toDrawing(file) {
    const drawing = new Uint8Array(this.voxels);
    this.#walk((here, there) => { drawing[here] = file[there]; });
    return drawing;
  }

  /** From the drawing's order to the file's. @param {Uint8Array} drawing */
  toFile(drawing) {
    const file = new Uint8Array(this.voxels);
    this.#walk((here, there) => { file[there] = drawing[here]; });
    return file;
  }

  #walk(visit) {
    const [nx, ny, nz] = this.size;
    let here = 0;
    for (let z = 0; z < nz; z++) {
      for (let y = 0; y < ny; y++) {
        let there = this.fileIndex(0, y, z);
        for (let x = 0; x < nx; x++, here++, there += this.step[0]) visit(here, there);
      }
    }
  }

  #fileVoxel(x, y, z) {
    const there = this.fileIndex(x, y, z);
    const [ni, nj] = this.shape;
    return [there % ni, Math.floor(there / ni) % nj, Math.floor(there / (ni * nj))];
  }

  /** Each corner must lie where the viewer shows it, and each voxel must have a place of its own. */
  #prove() {
    const [nx, ny, nz] = this.size;
    for (let corner = 0; corner < 8; corner++) {
      const voxel = [corner & 1 ? nx - 1 : 0, corner & 2 ? ny - 1 : 0, corner & 4 ? nz - 1 : 0];
      const shown = [0, 1, 2].map((row) => {
        const m = this.matrix.slice(4 * row, 4 * row + 4);
        return m[0] * voxel[0] + m[1] * voxel[1] + m[2] * voxel[2] + m[3];
      });
      const apart = Math.hypot(...this.mm(voxel).map((mm, axis) => mm - shown[axis]));
      if (!(apart < TOLERANCE_MM)) throw new Error(`A corner is shown ${apart.toFixed(2)} mm from its place.`);
    }
    const seen = new Uint8Array(this.voxels);
    this.#walk((_, there) => { seen[there] += 1; });
    if (seen.some((times) => times !== 1)) throw new Error("The viewer's order is not the file's.");
  }
}

function determinant(a) {
  return a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1])
    - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0])
    + a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
}
