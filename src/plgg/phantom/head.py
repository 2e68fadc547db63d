"""A person's head: the template brain with a random affine transform and a smooth deformation.

A head maps points of the patient to points of the template. Head size does not depend on age, so
that only the tumour in the image depends on the marker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from plgg.core.volume import Affine, apply_affine
from plgg.data.atlas.template import mni_to_sri24, template_map
from plgg.phantom.grid import ONE_MM, Raster, box_affine, box_shape, box_voxel, inverse
from plgg.phantom.lattice import Axes, Field3D, covering, evaluate, on_nodes, unit_control

NODE_MM = 6.0
# Brain centre in SRI24's world, about which heads are scaled and turned.
_CENTRE_MM = np.array([-118.8, 104.3, 77.0])
_MAX_SCALING = 0.05


@dataclass(frozen=True, eq=False)
class Head:
    """The map from a patient to the template.

    Attributes:
        pose: 4×4 matrix from the patient's world (SRI24, mm) to the undeformed head's.
        bend_mm: Displacements in the undeformed head's world at the control points of a lattice
            over the box; shape (3, A, B, C).
    """

    pose: Affine
    bend_mm: NDArray[np.float32]

    def pushed(self, centre_mm: NDArray[np.float64], *, radius_mm: float, push_mm: float) -> Head:
        """The head with tissue around a point pushed outward (mass effect).

        Args:
            centre_mm: Centre of the mass in the patient's world.
            radius_mm: Where the push is strongest.
            push_mm: Displacement there, in mm.
        """
        offset = _node_positions_mm(self.bend_mm.shape[1:]) - centre_mm
        distance = np.maximum(np.linalg.norm(offset, axis=-1, keepdims=True), 1e-6)
        profile = distance / radius_mm * np.exp(0.5 - 0.5 * (distance / radius_mm) ** 2)
        inward = -push_mm * profile * offset / distance
        bend = self.bend_mm + np.moveaxis(inward, -1, 0).astype(np.float32)
        return replace(self, bend_mm=bend)

    def patient_point(self, mni_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where a point of MNI's world lies in the patient's world, in mm; shape (3,)."""
        target = apply_affine(mni_to_sri24(), mni_mm)
        back = inverse(self.pose)
        point = apply_affine(back, target)
        for _ in range(8):  # The bend is gentle, so the fixed point is reached within 0.1 mm.
            point = apply_affine(back, target - self._bend_at(point))
        return point

    def template_voxels(self, raster: Raster = ONE_MM) -> NDArray[np.float32]:
        """Template voxel under each voxel of the box, shape (3, I, J, K)."""
        nodes = _node_positions_mm(self.bend_mm.shape[1:])
        undeformed = apply_affine(self.pose, nodes) + np.moveaxis(self.bend_mm, 0, -1)
        to_voxel = inverse(mni_to_sri24() @ template_map("t1").affine)
        control = np.moveaxis(apply_affine(to_voxel, undeformed), -1, 0).astype(np.float32)
        positions = on_nodes(raster.points_mm, NODE_MM)
        return np.stack([evaluate(part, positions) for part in control])

    def _bend_at(self, point_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        voxel = box_voxel(point_mm)
        x, y, z = (np.array([at]) / NODE_MM + 1.0 for at in voxel)
        positions: Axes = (x, y, z)
        return np.array([evaluate(part, positions).item() for part in self.bend_mm])


@dataclass(frozen=True, eq=False)
class Tissue:
    """Shares of tissue in each voxel of the box; they sum to 1 in the brain and are 0 outside.

    Attributes:
        brain: Boolean, shape (I, J, K).
        grey: Grey matter, float32.
        white: White matter, float32.
        fluid: Cerebrospinal fluid, float32.
        raster: Positions of the box's voxels.
    """

    brain: NDArray[np.bool_]
    grey: Field3D
    white: Field3D
    fluid: Field3D
    raster: Raster = ONE_MM


def draw_head(rng: np.random.Generator) -> Head:
    """A random head: scaled by up to 5 % along each axis, turned by a few degrees, bent by mm."""
    scale = 1.0 + np.clip(rng.normal(0.0, 0.025, 3), -_MAX_SCALING, _MAX_SCALING)
    turn = Rotation.from_euler("xyz", rng.normal(0.0, 2.0, 3), degrees=True).as_matrix()
    matrix = turn @ np.diag(1.0 / scale)
    pose = np.eye(4)
    pose[:3, :3] = matrix
    pose[:3, 3] = _CENTRE_MM - matrix @ (_CENTRE_MM + rng.normal(0.0, 1.5, 3))
    return Head(pose=pose, bend_mm=_draw_bend(rng))


def tissue(head: Head, *, widening: float = 1.0, raster: Raster = ONE_MM) -> Tissue:
    """Resample the template's tissues to the head.

    Args:
        head: Map from the patient to the template.
        widening: Factor on the odds of fluid; above 1 sulci and ventricles are wider.
        raster: Voxels of the output.
    """
    voxels = head.template_voxels(raster)
    maps = _template_tissues()
    brain = ndimage.map_coordinates(maps["brain"], voxels, order=1) > 0.5
    inside = voxels[:, brain]
    grey, white = (
        ndimage.map_coordinates(maps[name], inside, order=1) for name in ("grey", "white")
    )
    fluid = widening * np.maximum(1.0 - grey - white, 0.0)
    total = grey + white + fluid
    return Tissue(
        brain=brain,
        raster=raster,
        **{
            name: _spread(share / total, brain)
            for name, share in (("grey", grey), ("white", white), ("fluid", fluid))
        },
    )


def _spread(values: Field3D, brain: NDArray[np.bool_]) -> Field3D:
    field = np.zeros(brain.shape, dtype=np.float32)
    field[brain] = values
    return field


_SHARPENED: dict[str, Field3D] = {}


def _template_tissues() -> dict[str, Field3D]:
    """Template maps, sharpened: an average of many brains is blurred as no single brain is."""
    if not _SHARPENED:
        brain = template_map("t1").data > 0
        grey, white = template_map("grey").data, template_map("white").data
        fluid = np.maximum(1.0 - grey - white, 0.0)
        sharp = [share**2 for share in (grey, white, fluid)]
        total = np.maximum(sharp[0] + sharp[1] + sharp[2], 1e-6)
        _SHARPENED.update(grey=sharp[0] / total, white=sharp[1] / total)
        _SHARPENED["brain"] = brain.astype(np.float32)
    return _SHARPENED


def _draw_bend(rng: np.random.Generator) -> NDArray[np.float32]:
    nodes = covering(box_shape(), NODE_MM)[0]
    bend = np.zeros((3, *nodes), dtype=np.float32)
    for step, amplitude_mm in ((6.0, 1.8), (2.5, 0.8)):  # about 36 mm and 15 mm wide
        coarse, positions = covering(nodes, step)
        for axis in range(3):
            bend[axis] += amplitude_mm * evaluate(unit_control(rng, coarse), positions)
    return bend


def _node_positions_mm(nodes: tuple[int, ...]) -> NDArray[np.float64]:
    voxel = np.stack(np.meshgrid(*[(np.arange(n) - 1.0) * NODE_MM for n in nodes], indexing="ij"))
    return apply_affine(box_affine(), np.moveaxis(voxel, 0, -1))
