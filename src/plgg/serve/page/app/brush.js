/** A round brush, sized in millimetres: a disc in the plane that is drawn in, or a ball. */

/** The axis across each plane: axial slices lie along z, coronal along y, sagittal along x. */
export const NORMAL = { axial: 2, coronal: 1, sagittal: 0 };

/**
 * Paint a line of discs or balls.
 * @param {Uint8Array} drawing changed in place
 * @param grid the drawing's `Grid`
 * @param stroke from, to: voxels; plane; radius in mm; value 0 or 1; ball: whether in three dimensions
 */
export function paintStroke(drawing, grid, { from, to, plane, radius, value, ball = false }) {
  const stamp = stampVoxels(grid, { plane, radius, ball });
  const steps = Math.max(1, ...[0, 1, 2].map((axis) => Math.abs(to[axis] - from[axis])));
  for (let step = 0; step <= steps; step++) {
    const centre = from.map((start, axis) => Math.round(start + ((to[axis] - start) * step) / steps));
    for (const offset of stamp) {
      const voxel = centre.map((place, axis) => place + offset[axis]);
      if (grid.contains(voxel)) drawing[grid.index(...voxel)] = value;
    }
  }
}

/** Offsets of the voxels whose centres are within the radius; that of the middle always. */
function stampVoxels(grid, { plane, radius, ball }) {
  const reach = grid.spacing.map((mm, axis) =>
    (!ball && axis === NORMAL[plane]) ? 0 : Math.floor(radius / mm));
  const voxels = [];
  for (let z = -reach[2]; z <= reach[2]; z++) {
    for (let y = -reach[1]; y <= reach[1]; y++) {
      for (let x = -reach[0]; x <= reach[0]; x++) {
        const mm = Math.hypot(x * grid.spacing[0], y * grid.spacing[1], z * grid.spacing[2]);
        if (mm <= radius) voxels.push([x, y, z]);
      }
    }
  }
  return voxels;
}
