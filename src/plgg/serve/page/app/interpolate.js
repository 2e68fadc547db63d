/**
 * Interpolation between drawn slices by their shapes (Raya and Udupa 1990): the mean of the signed
 * distances to the two outlines, weighted by nearness, is negative inside.
 */

import { NORMAL } from "./brush.js";

// Slices that are further apart were hardly meant as one shape.
const FURTHEST = 15;

/**
 * Fill between the slices that were drawn in; where none are named, between those that have something
 * in them and nothing between.
 * @param {Uint8Array} drawing changed in place
 * @param grid the drawing's `Grid` @param {string} plane @param {number[]} drawn slice numbers
 * @returns {number[]} the slices that were written
 */
export function interpolateSlices(drawing, grid, plane, drawn = []) {
  const normal = NORMAL[plane];
  const count = grid.size[normal];
  const slices = new Map();
  const sliceAt = (n) => slices.get(n) ?? slices.set(n, takeSlice(drawing, grid, normal, n)).get(n);
  const full = (n) => sliceAt(n).data.includes(1);
  const keys = (drawn.length > 1 ? [...drawn] : [...Array(count).keys()]).filter(full).sort((a, b) => a - b);
  const written = [];
  keys.slice(1).forEach((upper, n) => {
    const lower = keys[n];
    if (upper - lower < 2 || upper - lower > FURTHEST) return;
    const [below, above] = [signedDistance(sliceAt(lower)), signedDistance(sliceAt(upper))];
    for (let at = lower + 1; at < upper; at++) {
      const share = (at - lower) / (upper - lower);
      putSlice(drawing, grid, normal, at, (p) => below[p] * (1 - share) + above[p] * share < 0);
      written.push(at);
    }
  });
  return written;
}

/** One slice: its values, its width and height in voxels, and its spacing. */
export function takeSlice(drawing, grid, normal, at) {
  const [a, b] = [0, 1, 2].filter((axis) => axis !== normal);
  const [width, height] = [grid.size[a], grid.size[b]];
  const data = new Uint8Array(width * height);
  eachPixel(grid, normal, at, (pixel, place) => { data[pixel] = drawing[place]; });
  return { data, width, height, spacing: [grid.spacing[a], grid.spacing[b]] };
}

function putSlice(drawing, grid, normal, at, inside) {
  eachPixel(grid, normal, at, (pixel, place) => { drawing[place] = inside(pixel) ? 1 : 0; });
}

function eachPixel(grid, normal, at, visit) {
  const [a, b] = [0, 1, 2].filter((axis) => axis !== normal);
  const voxel = [0, 0, 0];
  voxel[normal] = at;
  let pixel = 0;
  for (voxel[b] = 0; voxel[b] < grid.size[b]; voxel[b]++) {
    for (voxel[a] = 0; voxel[a] < grid.size[a]; voxel[a]++) visit(pixel++, grid.index(...voxel));
  }
}

/** Distance in mm to the outline, negative inside. */
function signedDistance({ data, width, height, spacing }) {
  const outside = squaredDistance(data, 1, width, height, spacing);
  const inside = squaredDistance(data, 0, width, height, spacing);
  return outside.map((square, n) => Math.sqrt(square) - Math.sqrt(inside[n]));
}

/** Squared distance to the nearest pixel of a value, exact (Felzenszwalb and Huttenlocher 2012). */
function squaredDistance(data, value, width, height, [dx, dy]) {
  const field = Float64Array.from(data, (v) => (v === value ? 0 : 1e12));
  const column = new Float64Array(height);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) column[y] = field[x + y * width];
    lowerEnvelope(column, dy).forEach((d, y) => { field[x + y * width] = d; });
  }
  for (let y = 0; y < height; y++) {
    field.set(lowerEnvelope(field.slice(y * width, (y + 1) * width), dx), y * width);
  }
  return field;
}

/** Least of the parabolas that stand on each sample, along one line. */
function lowerEnvelope(samples, mm) {
  const n = samples.length;
  const [sites, borders] = [new Int32Array(n), new Float64Array(n + 1)];
  const crossing = (p, q) =>
    (samples[q] + (q * mm) ** 2 - samples[p] - (p * mm) ** 2) / (2 * mm * mm * (q - p));
  let last = 0;
  borders[0] = -Infinity;
  borders[1] = Infinity;
  for (let q = 1; q < n; q++) {
    while (crossing(sites[last], q) <= borders[last]) last--;
    const border = crossing(sites[last], q);
    sites[++last] = q;
    borders[last] = border;
    borders[last + 1] = Infinity;
  }
  const result = new Float64Array(n);
  for (let q = 0, k = 0; q < n; q++) {
    while (borders[k + 1] < q) k++;
    result[q] = ((q - sites[k]) * mm) ** 2 + samples[sites[k]];
  }
  return result;
}
