"""Read and write NIfTI: check the header, read the geometry, decompress the voxels."""
