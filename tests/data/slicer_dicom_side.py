"""Runs in the Python of 3D Slicer (`slicer-core`): where a DICOM series and its segments lie.

    python slicer_dicom_side.py FOLDER

FOLDER holds folders with `series` (DICOM, read by Slicer itself) and `segments.nrrd`, which dcmqi
made of the SEG, as Slicer's own reader of SEG has it made; `told.json` says what Slicer sees.
"""

import json
import sys
from pathlib import Path

import slicer_core as slicer
from slicer_side import array, loaded, matrix, points, segments


def main(folder):
    scene = slicer.vtkMRMLScene()
    slicer.vtkSlicerSegmentationsModuleLogic().SetMRMLScene(scene)
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        first = min((case / "series").iterdir())
        image = loaded(
            scene, "vtkMRMLScalarVolumeNode", slicer.vtkMRMLVolumeArchetypeStorageNode, first,
            CenterImage=0,
        )  # fmt: skip
        node = loaded(
            scene,
            "vtkMRMLSegmentationNode",
            slicer.vtkMRMLSegmentationStorageNode,
            case / "segments.nrrd",
        )
        data, to_ras = array(image.GetImageData()), matrix(image.GetIJKToRASMatrix)
        brightest = points(data == data.max(), to_ras)
        (marked,) = segments(node).values()
        told = {"shape": data.shape, "brightest": brightest, "segment": marked}
        (case / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
