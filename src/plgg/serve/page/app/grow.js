/** Region growing (a flood fill by intensity): what is as bright as where was clicked, and touches it. */

/**
 * Add the region around a voxel to the drawing.
 * @param {Uint8Array} drawing changed in place
 * @param grid the drawing's `Grid`
 * @param {ArrayLike<number>} image the image's values in its file's order
 * @param options seed: voxel; tolerance: in the image's units; radius: no further than this, in mm;
 *   normal: the axis across the slice to stay in, or null for three dimensions
 * @returns {number} voxels added
 */
export function growRegion(drawing, grid, image, { seed, tolerance, radius, normal = null }) {
  const middle = meanAround(grid, image, seed);
  const fits = (voxel) => grid.contains(voxel)
    && Math.abs(image[grid.fileIndex(...voxel)] - middle) <= tolerance
    && distance(grid, voxel, seed) <= radius;
  const seen = new Uint8Array(grid.voxels);
  seen[grid.index(...seed)] = 1;
  const queue = [seed];
  let added = 0;
  while (queue.length) {
    const voxel = queue.pop();
    const place = grid.index(...voxel);
    added += drawing[place] ? 0 : 1;
    drawing[place] = 1;
    for (const next of neighbours(voxel, normal)) {
      if (!fits(next) || seen[grid.index(...next)]) continue;
      seen[grid.index(...next)] = 1;
      queue.push(next);
    }
  }
  return added;
}

/** Mean of the voxel and its six neighbours: one noisy voxel does not decide. */
function meanAround(grid, image, seed) {
  const voxels = [seed, ...neighbours(seed, null)].filter((voxel) => grid.contains(voxel));
  return voxels.reduce((sum, voxel) => sum + image[grid.fileIndex(...voxel)], 0) / voxels.length;
}

function neighbours([x, y, z], normal) {
  const six = [[x - 1, y, z], [x + 1, y, z], [x, y - 1, z], [x, y + 1, z], [x, y, z - 1], [x, y, z + 1]];
  return normal === null ? six : six.filter((_, n) => Math.floor(n / 2) !== normal);
}

function distance(grid, a, b) {
  return Math.hypot(...grid.spacing.map((mm, axis) => (a[axis] - b[axis]) * mm));
}
