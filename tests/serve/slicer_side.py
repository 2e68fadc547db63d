"""Runs in the Python of 3D Slicer (`slicer-core`): loads what was served, saves what it holds.

    python slicer_side.py FOLDER

FOLDER holds folders with `volume` and `mask` in several formats. Of each, `told.json` says where
Slicer puts every voxel, RAS in mm, and the segmentation is saved as its extension for MONAI Label
saves it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import slicer_core as slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy


def loaded(scene, kind, storage, path, **switches):
    """A node with the contents of a file."""
    node = scene.AddNewNodeByClass(kind)
    reader = storage()
    reader.SetFileName(str(path))
    for name, value in switches.items():
        getattr(reader, f"Set{name}")(value)
    assert reader.ReadData(node), path
    return node


def array(image):
    """Voxels of a VTK image, as [i, j, k]."""
    i, j, k = image.GetDimensions()
    flat = vtk_to_numpy(image.GetPointData().GetScalars())
    return flat.reshape(k, j, i).transpose(2, 1, 0)


def matrix(fill):
    """A 4×4 matrix that a VTK object fills in."""
    found = vtk.vtkMatrix4x4()
    fill(found)
    return np.array([[found.GetElement(row, column) for column in range(4)] for row in range(4)])


def points(data, to_ras, start=(0, 0, 0)):
    """World points of the voxels that are set."""
    voxels = np.argwhere(data) + start
    return (voxels @ to_ras[:3, :3].T + to_ras[:3, 3]).tolist()


def volume(scene, path, *, label):
    """What Slicer makes of an image file."""
    kind = "vtkMRMLLabelMapVolumeNode" if label else "vtkMRMLScalarVolumeNode"
    node = loaded(scene, kind, slicer.vtkMRMLVolumeArchetypeStorageNode, path, CenterImage=0)
    data, to_ras = array(node.GetImageData()), matrix(node.GetIJKToRASMatrix)
    told = {"shape": data.shape, "ijk_to_ras": to_ras.tolist()}
    if label:
        return node, told | {"points": points(data, to_ras)}
    brightest = np.argwhere(data == data.max())
    return node, told | {"brightest": (brightest @ to_ras[:3, :3].T + to_ras[:3, 3]).tolist()}


def segments(node):
    """Name and world points of each segment."""
    found = {}
    names = vtk.vtkStringArray()
    node.GetSegmentation().GetSegmentIDs(names)
    for index in range(names.GetNumberOfValues()):
        name = names.GetValue(index)
        image = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(name, image)
        start = np.array(image.GetExtent()[::2])
        title = node.GetSegmentation().GetSegment(name).GetName()
        found[title] = points(array(image), matrix(image.GetImageToWorldMatrix), start)
    return found


def saved(node, storage, path):
    writer = storage()
    writer.SetFileName(str(path))
    assert writer.WriteData(node), path


def exported(scene, node, reference, path):
    """Save all segments as a label, as the extension for MONAI Label does."""
    label = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    names = vtk.vtkStringArray()
    node.GetSegmentation().GetSegmentIDs(names)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.ExportSegmentsToLabelmapNode(node, names, label, reference)
    saved(label, slicer.vtkMRMLVolumeArchetypeStorageNode, path)


def main(folder):
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        image, told = volume(scene, next(case.glob("volume.*")), label=False)
        node = loaded(
            scene,
            "vtkMRMLSegmentationNode",
            slicer.vtkMRMLSegmentationStorageNode,
            case / "mask.seg.nrrd",
        )
        node.SetReferenceImageGeometryParameterFromVolumeNode(image)
        record = {"volume": told, "segments": segments(node), "labels": {}}
        for path in case.glob("mask.n*"):
            _, found = volume(scene, path, label=True)
            record["labels"][path.name.partition(".")[2]] = found
        saved(node, slicer.vtkMRMLSegmentationStorageNode, case / "saved.seg.nrrd")
        exported(scene, node, image, case / "saved.nii.gz")
        exported(scene, node, image, case / "saved.nrrd")
        (case / "told.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
