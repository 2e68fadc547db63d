"""An ANTs affine registration of two NIfTI files, timed: what registration.py is held against.

    python ants_affine.py FIXED.nii.gz MOVING.nii.gz

Runs in the environment that has ANTs, which need not be the one that has plgg. Prints one JSON
object: seconds without imports and reading, and the 4×4 matrix from fixed to moving world, LPS.
"""

import json
import resource
import sys
import time

import ants

MAC = sys.platform == "darwin"


def main() -> None:
    """Register and print."""
    fixed, moving = (ants.image_read(path) for path in sys.argv[1:])
    wall, processor = time.perf_counter(), time.process_time()
    found = ants.registration(fixed, moving, type_of_transform="Affine")
    seconds = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    transform = ants.read_transform(found["fwdtransforms"][0])
    ends = [transform.apply_to_point(p) for p in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    axes = [[end[i] - ends[0][i] for end in ends[1:]] + [ends[0][i]] for i in range(3)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if MAC else 2**20)
    matrix = [*axes, [0, 0, 0, 1]]
    told = {"seconds": seconds, "matrix": matrix, "peak_gib": peak, "ants": ants.__version__}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
