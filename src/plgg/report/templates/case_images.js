// The voxels of an image that holds the axial slices of a volume side by side, `across` in a row.
const decoded = async (source, [nx, ny, nz], across) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, image.width, image.height).data;
  const volume = new Uint8Array(nx * ny * nz);
  for (let z = 0, out = 0; z < nz; z++) {
    const left = (z % across) * nx, top = Math.floor(z / across) * ny;
    for (let y = 0; y < ny; y++) {
      let at = 4 * ((top + y) * image.width + left);
      for (let x = 0; x < nx; x++, at += 4) volume[out++] = pixels[at];
    }
  }
  return volume;
};
