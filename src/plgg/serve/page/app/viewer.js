/**
 * NiiVue behind the few things that the page asks of it: one scan, one drawing, two overlays, layouts,
 * window and level, and which voxel lies under a point of the screen.
 */

import { Grid } from "./grid.js";
import { unpack, withAffine } from "./nifti.js";

const LAYOUTS = { all: 3, axial: 0, coronal: 1, sagittal: 2, render: 4 };
const PLANES = ["axial", "coronal", "sagittal"];
const DRAG = { crosshair: 8, windowing: 9, pan: 3 };
const COLOURS = {
  // Nothing, tumour, added, removed.
  R: [0, 64, 250, 255], G: [0, 224, 214, 96], B: [0, 208, 60, 110], A: [0, 255, 255, 255],
  I: [0, 1, 2, 3], labels: ["", "tumour", "added", "removed"],
};
export const ADDED = 2;
export const REMOVED = 3;
// The window at first leaves out this share of the values at either end: a bright lesion keeps its texture.
const PERCENTILE = 0.004;
const OVERLAYS = {
  probability: { colormap: "inferno", low: 0.02, high: 1 },
  uncertainty: { colormap: "viridis", low: 0.05, high: 1 },
};

/** Whether this browser can show images in three dimensions. */
export function hasWebGl2() {
  return Boolean(document.createElement("canvas").getContext("webgl2"));
}

export class Viewer {
  /** @param {HTMLCanvasElement} canvas */
  static async open(canvas) {
    const viewer = new Viewer();
    viewer.nv = new window.niivue.Niivue({
      backColor: [0.035, 0.043, 0.055, 1], crosshairColor: [0.95, 0.75, 0.3, 0.6], crosshairWidth: 0.5, crosshairWidthUnit: "mm",
      fontColor: [0.62, 0.67, 0.74, 1], fontMinPx: 11, crosshairGap: 8,
      isRadiologicalConvention: true, sagittalNoseLeft: true, isNearestInterpolation: false,
      dragAndDropEnabled: false, dragMode: DRAG.windowing, dragModePrimary: DRAG.crosshair,
      multiplanarShowRender: 1, multiplanarLayout: 2, tileMargin: 2, logLevel: "error", loadingText: "",
      viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "", maxDrawUndoBitmaps: 1,
    });
    await viewer.nv.attachToCanvas(canvas);
    return viewer;
  }

  /** Show a scan. @param {ArrayBuffer} bytes its NIfTI file @param {number[][]} affine the case's own */
  async show(bytes, affine) {
    const image = await this.#image(bytes, affine, "scan", "gray", 1);
    this.nv.addVolume(image);
    this.affine = affine;
    this.grid = new Grid(image, affine);
    this.image = image;
    this.autoWindow = [image.cal_min, image.cal_max];
    this.nv.createEmptyDrawing();
    this.nv.setDrawColormap(COLOURS);
    this.overlays = {};
  }

  async #image(bytes, affine, name, colormap, opacity) {
    const file = withAffine(await unpack(bytes), affine);
    return window.niivue.NVImage.new(file, `${name}.nii`, colormap, opacity, null, NaN, NaN, false, PERCENTILE);
  }

  /** The scan's values, in its file's order, and how many of its units one grey unit is. */
  get values() {
    return { data: this.image.img, slope: Math.abs(this.image.hdr.scl_slope) || 1 };
  }

  /** Draw these labels, one a voxel in the grid's order. @param {Uint8Array} labels kept, not copied */
  setDrawing(labels) {
    this.nv.drawBitmap = labels;
    this.refreshDrawing();
  }

  /** Draw at the next frame what the labels have become. */
  refreshDrawing() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.nv) this.nv.refreshDrawing(true);
    });
  }

  /** @param {boolean} outline whether the edge is drawn @param {number} fill opacity within, 0 to 1 */
  setOutline(outline, fill) {
    this.nv.drawRimOpacity = outline ? 1 : -1;
    // NiiVue draws no edge of what is not there at all.
    this.nv.setDrawOpacity(Math.max(fill, outline ? 0.002 : 0));
  }

  /** Show one overlay, or none. @param {string|null} kind @param {() => Promise<ArrayBuffer>} fetchBytes */
  async setOverlay(kind, opacity, fetchBytes) {
    if (kind && !this.overlays[kind]) {
      const { colormap, low, high } = OVERLAYS[kind];
      const image = await this.#image(await fetchBytes(), this.affine, kind, colormap, 0);
      [image.cal_min, image.cal_max] = [low, high];
      this.nv.addVolume(image);
      this.overlays[kind] = image;
    }
    for (const [name, image] of Object.entries(this.overlays)) image.opacity = name === kind ? opacity : 0;
    this.nv.updateGLVolume();
  }

  /** @param {"all"|"axial"|"coronal"|"sagittal"|"render"} name */
  setLayout(name) {
    this.nv.setSliceType(LAYOUTS[name]);
  }

  get window() {
    return [this.image.cal_min, this.image.cal_max];
  }

  get range() {
    return [this.image.global_min, this.image.global_max];
  }

  setWindow(low, high) {
    [this.image.cal_min, this.image.cal_max] = [low, Math.max(high, low + 1e-6)];
    this.nv.updateGLVolume();
  }

  set onWindow(listener) {
    this.nv.onIntensityChange = listener;
  }

  /** @param {(place: {voxel: number[], mm: number[], value: number}) => void} listener */
  set onLocation(listener) {
    this.nv.onLocationChange = () => listener(this.#place());
  }

  #place() {
    const voxel = this.crosshair;
    const { data } = this.values;
    const raw = data[this.grid.fileIndex(...voxel)];
    const { scl_slope: slope, scl_inter: intercept } = this.image.hdr;
    return { voxel, mm: this.grid.mm(voxel), value: slope ? raw * slope + intercept : raw };
  }

  /** The voxel at the crosshair. */
  get crosshair() {
    return this.#voxel(this.nv.scene.crosshairPos);
  }

  set crosshair(voxel) {
    this.nv.scene.crosshairPos = voxel.map((place, axis) => (place + 0.5) / this.grid.size[axis]);
    this.nv.createOnLocationChange();
    this.nv.drawScene();
  }

  moveCrosshair(axis, by) {
    const voxel = this.crosshair;
    voxel[axis] = Math.min(this.grid.size[axis] - 1, Math.max(0, voxel[axis] + by));
    this.crosshair = voxel;
  }

  #voxel(fraction) {
    return [0, 1, 2].map((axis) =>
      Math.min(this.grid.size[axis] - 1, Math.max(0, Math.floor(fraction[axis] * this.grid.size[axis]))));
  }

  /**
   * What lies under a point of the canvas: the voxel and its plane, and how large a millimetre is there;
   * null outside the slices.
   * @param {number} x in CSS pixels of the canvas @param {number} y likewise
   */
  under(x, y) {
    const ratio = this.nv.uiData.dpr || 1;
    const point = [x * ratio, y * ratio];
    const tile = this.nv.screenSlices[this.nv.tileIndex(...point)];
    if (!tile || tile.axCorSag > 2) return null;
    const fraction = this.nv.canvasPos2frac(point);
    if (fraction[0] < 0 || [0, 1, 2].some((axis) => fraction[axis] < 0 || fraction[axis] > 1)) return null;
    const pixelsPerMm = tile.leftTopWidthHeight[2] / Math.abs(tile.fovMM[0]) / ratio;
    return { voxel: this.#voxel(fraction), plane: PLANES[tile.axCorSag], pixelsPerMm };
  }

  /** Where a voxel's centre lies on the canvas in a plane, in CSS pixels; for tests and the brush. */
  whereIs(voxel, plane) {
    const fraction = voxel.map((place, axis) => (place + 0.5) / this.grid.size[axis]);
    const found = this.nv.frac2canvasPosWithTile(fraction, PLANES.indexOf(plane));
    return found && found.pos.map((pixels) => pixels / (this.nv.uiData.dpr || 1));
  }

  close() {
    this.nv.cleanup();
    // Browsers allow about sixteen contexts; one that is only forgotten still counts.
    this.nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
    this.nv = null;
  }
}
