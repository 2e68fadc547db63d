/**
 * NIfTI-1 files as bytes: the header's fields that matter, a header's affine, masks in and out.
 *
 * A corrected mask is written with the header of the mask that the server gave, voxel for voxel in
 * that file's own order. Nothing of the grid passes through the viewer, which turns images in memory.
 */

const HEADER = 348;
const DATA = 352;
const READERS = {
  2: ["getUint8", 1], 4: ["getInt16", 2], 8: ["getInt32", 4], 16: ["getFloat32", 4],
  64: ["getFloat64", 8], 256: ["getInt8", 1], 512: ["getUint16", 2], 768: ["getUint32", 4],
};

/** Unpack gzip where the bytes are packed. @param {ArrayBuffer} bytes @returns {Promise<ArrayBuffer>} */
export async function unpack(bytes) {
  const head = new Uint8Array(bytes, 0, 2);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Pack by gzip. @param {ArrayBuffer|Uint8Array} bytes @returns {Promise<Blob>} */
export async function pack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).blob();
}

/**
 * The header's fields that say where voxels lie in the file.
 * @param {ArrayBuffer} bytes an unpacked file
 */
export function header(bytes) {
  const view = new DataView(bytes);
  const little = view.getInt32(0, true) === HEADER;
  if (!little && view.getInt32(0, false) !== HEADER) throw new Error("This is not a NIfTI-1 file.");
  const sizes = [1, 2, 3, 4, 5, 6, 7].map((n) => Math.max(1, view.getInt16(40 + 2 * n, little)));
  if (sizes.slice(3).some((size) => size > 1)) throw new Error("The image has more than three axes.");
  return {
    little,
    shape: sizes.slice(0, 3),
    datatype: view.getInt16(70, little),
    offset: Math.max(DATA, view.getFloat32(108, little)),
  };
}

/**
 * A copy whose header says this affine, and no other: the viewer then has no choice between two.
 * @param {ArrayBuffer} bytes an unpacked file @param {number[][]} affine voxel index to mm, RAS+
 */
export function withAffine(bytes, affine) {
  const copy = bytes.slice(0);
  const view = new DataView(copy);
  const { little } = header(copy);
  view.setInt16(252, 0, little); // qform_code
  view.setInt16(254, 2, little); // sform_code
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 4; column++) {
      view.setFloat32(280 + 16 * row + 4 * column, affine[row][column], little);
    }
  }
  spacing(affine).forEach((mm, axis) => view.setFloat32(80 + 4 * axis, mm, little));
  return copy;
}

/** Millimetres between neighbouring voxels along each axis. @param {number[][]} affine */
export function spacing(affine) {
  return [0, 1, 2].map((axis) => Math.hypot(affine[0][axis], affine[1][axis], affine[2][axis]));
}

/** Whether each voxel is inside: 0 or 1, in the file's order. @param {ArrayBuffer} bytes */
export function readMask(bytes) {
  const { little, shape, datatype, offset } = header(bytes);
  const [method, width] = READERS[datatype] ?? [];
  if (!method) throw new Error(`The mask has the data type ${datatype}, which is not supported.`);
  const view = new DataView(bytes);
  const mask = new Uint8Array(shape[0] * shape[1] * shape[2]);
  for (let n = 0; n < mask.length; n++) mask[n] = view[method](offset + width * n, little) > 0 ? 1 : 0;
  return mask;
}

/**
 * A mask as a NIfTI file on the grid of another.
 * @param {ArrayBuffer} like an unpacked file, whose shape, order and affine are kept
 * @param {Uint8Array} mask 0 or 1, in that file's order
 */
export function writeMask(like, mask) {
  const { little, shape } = header(like);
  if (mask.length !== shape[0] * shape[1] * shape[2]) throw new Error("The mask is of another grid.");
  const file = new Uint8Array(DATA + mask.length);
  file.set(new Uint8Array(like, 0, HEADER));
  const view = new DataView(file.buffer);
  view.setInt16(70, 2, little); // unsigned bytes
  view.setInt16(72, 8, little);
  view.setFloat32(108, DATA, little);
  view.setFloat32(112, 1, little); // slope
  view.setFloat32(116, 0, little); // intercept
  view.setFloat32(124, 1, little); // cal_max
  view.setFloat32(128, 0, little); // cal_min
  file.set(mask, DATA);
  return file;
}
