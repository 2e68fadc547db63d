"""NIfTI: the header judged, the geometry read, the voxels unpacked."""
