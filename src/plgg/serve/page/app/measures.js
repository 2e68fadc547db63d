/**
 * Volume and diameters of a drawing, live. The report's diameters follow the drawn outline exactly;
 * these are those of its convex hull in axial slices, so before and after compare like with like.
 */

import { takeSlice } from "./interpolate.js";

/** @returns {{volumeMl: number, diameters: null | {slice, largest, across}}} in ml and mm */
export function measure(drawing, grid) {
  const perSlice = countSlices(drawing, grid);
  const voxels = perSlice.reduce((sum, count) => sum + count, 0);
  return { volumeMl: voxels * grid.voxelMl, diameters: largestDiameters(drawing, grid, perSlice) };
}

function countSlices(drawing, grid) {
  const area = grid.size[0] * grid.size[1];
  return Array.from({ length: grid.size[2] }, (_, z) => {
    let count = 0;
    for (let n = z * area; n < (z + 1) * area; n++) count += drawing[n];
    return count;
  });
}

/** The pair whose product is largest, of the slices that hold the most voxels. */
function largestDiameters(drawing, grid, perSlice) {
  const fullest = perSlice.map((count, slice) => ({ count, slice }))
    .filter(({ count }) => count).sort((a, b) => b.count - a.count).slice(0, 5);
  const pairs = fullest.map(({ slice }) => ({ slice, ...sliceDiameters(takeSlice(drawing, grid, 2, slice)) }));
  return pairs.sort((a, b) => b.largest * b.across - a.largest * a.across)[0] ?? null;
}

/** The longest line of a slice's hull, and its extent across that line. */
export function sliceDiameters(slice) {
  const hull = convexHull(edgePoints(slice));
  let largest = 0;
  let along = [1, 0];
  for (const p of hull) {
    for (const q of hull) {
      const length = Math.hypot(q[0] - p[0], q[1] - p[1]);
      if (length > largest) [largest, along] = [length, [(q[0] - p[0]) / length, (q[1] - p[1]) / length]];
    }
  }
  return { largest, across: longestAcross(hull, along) };
}

/** Length of the hull's longest chord at a right angle to a direction: it starts at a corner. */
function longestAcross(hull, [ax, ay]) {
  const turned = hull.map(([x, y]) => [x * ax + y * ay, y * ax - x * ay]);
  return Math.max(0, ...turned.map(([t]) => {
    const crossings = turned.flatMap((p, n) => {
      const q = turned[(n + 1) % turned.length];
      if ((p[0] - t) * (q[0] - t) > 0) return [];
      return p[0] === q[0] ? [p[1], q[1]] : [p[1] + ((t - p[0]) / (q[0] - p[0])) * (q[1] - p[1])];
    });
    return Math.max(...crossings) - Math.min(...crossings);
  }));
}

/** In mm, the middles of the sides between voxels inside and outside. */
function edgePoints({ data, width, height, spacing: [dx, dy] }) {
  const points = [];
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[x + y * width];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!data[x + y * width]) continue;
      for (const [sx, sy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        if (!inside(x + sx, y + sy)) points.push([(x + sx / 2) * dx, (y + sy / 2) * dy]);
      }
    }
  }
  return points;
}

/** Corners of the hull in order (Andrew 1979). */
function convexHull(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const turn = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
  const half = (list) => {
    const chain = [];
    for (const point of list) {
      while (chain.length > 1 && turn(chain.at(-2), chain.at(-1), point) <= 0) chain.pop();
      chain.push(point);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}
