"""The results of one patient as a timeline: volumes, products of diameters, response categories."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from plgg.core.errors import InputError
from plgg.core.prediction_files import MASK
from plgg.core.volume import Volume
from plgg.data.nifti.image import read_volume
from plgg.data.result import Diameters, Result, Timeline, TimePoint, threshold_setting
from plgg.measure.change import read_prior, require_one_patient
from plgg.measure.diameters import Plane, diameters_by_plane
from plgg.measure.response import (
    MEASURABLE_MM,
    Assessment,
    TumourSize,
    assess,
    best_response,
    percent,
)

CRITERIA = "RAPNO, paediatric low-grade glioma (Fangusaro et al., Lancet Oncology 2020): FLAIR only"
NOTE = (
    "By the product of the largest diameters on FLAIR alone, of the largest part, with thresholds "
    "as secondary sources give them. RAPNO also asks for what plgg cannot judge: clinical status "
    "and vision, steroids, new and further lesions, the spine, other sequences (T2, enhancement, "
    "diffusion), and cysts left out. For research use only."
)


@dataclass(frozen=True, eq=False)
class TimelineScan:
    """One scan of the patient.

    Attributes:
        result: Its result.
        folder: Folder of its prediction; None if that is not written yet.
        scan_date: Date of the scan; None where it is not known.
        mask: Its mask, if the prediction is not written yet; else None.
    """

    result: Result
    folder: Path | None = None
    scan_date: date | None = None
    mask: Volume | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Name of the folder, without its path; the case ID without a folder."""
        return self.folder.resolve().name if self.folder else self.result.case_id

    @cached_property
    def by_plane(self) -> Mapping[Plane, Diameters]:
        """Diameters in each plane in which they can be measured, from the mask where it is there.

        Raises:
            InputError: If the mask cannot be read, or is not the one that was measured.
        """
        mask, lines = self.mask, self.result.diameters
        if mask is None and self.folder and (self.folder / MASK).is_file():
            mask = _measured_mask(self.folder / MASK, self.result)
        found = dict(diameters_by_plane(mask)) if mask is not None else {}
        return found | ({lines.plane: lines} if lines else {})


def _measured_mask(path: Path, result: Result) -> Volume:
    mask = read_volume(path)
    volume_ml = float((mask.data > 0).sum()) * mask.voxel_volume_ml
    if not math.isclose(volume_ml, result.volume_ml, rel_tol=1e-3, abs_tol=1e-3):
        raise InputError(
            f"holds {volume_ml:.1f} mL where its result says {result.volume_ml:.1f} mL: it is not "
            "the mask that was measured",
            where=path,
            remedy="Predict the scan again.",
        )
    return mask


def read_timeline_scans(
    folders: Sequence[Path], dates: Sequence[date | None] | None = None
) -> list[TimelineScan]:
    """Read earlier results from their folders.

    Args:
        folders: Each of one case, as `plgg predict` writes it.
        dates: Dates of the scans, in the order of the folders; by default those of the results.

    Raises:
        InputError: If one is no prediction.
    """
    results = [read_prior(folder) for folder in folders]
    given = dates or [None] * len(results)
    return [
        TimelineScan(result, folder, when or result.scan_date)
        for result, folder, when in zip(results, folders, given, strict=True)
    ]


def timeline(moments: Sequence[TimelineScan]) -> Timeline:
    """Order the results of one patient and assess each against the baseline and the nadir.

    Args:
        moments: In any order if all dates are known, else in that of the scans.

    Raises:
        InputError: If two are of one scan, or of different patients as far as that is known, or
            if the dates that are known contradict the order.
    """
    _require_distinct_scans(moments)
    ordered = _ordered(moments)
    _require_same_patient(ordered)
    plane = _common_plane(ordered)
    days = _days(ordered)
    lines = [_lines(one, plane) for one in ordered]
    sizes = [
        TumourSize(_product(m, line), _large(line), d)
        for m, line, d in zip(ordered, lines, days, strict=True)
    ]
    found = assess(sizes)
    points = tuple(map(_point, ordered, sizes, found, [ordered[0]] * len(ordered)))
    return Timeline(
        criteria=CRITERIA,
        plane=plane,
        points=points,
        best_response=best_response(found),
        best_confirmed=best_response(found, confirmed=True),
        warnings=tuple(_warnings(ordered)),
        note=NOTE,
    )


def _point(
    moment: TimelineScan, size: TumourSize, found: Assessment, first: TimelineScan
) -> TimePoint:
    result = moment.result
    return TimePoint(
        name=moment.name,
        prior=str(moment.folder) if moment.folder else None,
        scan_date=moment.scan_date,
        days=size.days,
        volume_ml=result.volume_ml,
        volume_interval=result.volume_interval,
        product_mm2=size.product_mm2,
        is_measurable=size.is_measurable,
        baseline_percent=found.baseline_percent,
        nadir_percent=found.nadir_percent,
        volume_percent=percent(result.volume_ml, first.result.volume_ml),
        response=found.response,
        is_confirmed=found.is_confirmed,
        confirmation=found.confirmation,
        statement=found.statement,
    )


def _require_distinct_scans(moments: Sequence[TimelineScan]) -> None:
    seen: dict[str, TimelineScan] = {}
    for moment in moments:
        digest = moment.result.input.sha256
        if digest in seen:
            raise InputError(
                f"is a prediction of the same scan as {seen[digest].name}",
                where=moment.folder or moment.name,
                remedy="Name each scan once.",
            )
        seen[digest] = moment


def _ordered(moments: Sequence[TimelineScan]) -> list[TimelineScan]:
    """By date if all are known; else as they were named, which known dates must not contradict."""
    if all(moment.scan_date for moment in moments):
        return sorted(moments, key=lambda moment: moment.scan_date or date.max)
    dated = [moment for moment in moments if moment.scan_date]
    for before, after in pairwise(dated):
        if before.scan_date and after.scan_date and before.scan_date > after.scan_date:
            raise InputError(
                f"is of an earlier scan than {before.name}, which is named before it, and not all "
                "dates are known",
                where=after.folder or after.name,
                remedy="Name the results in the order of the scans, or give the dates of all.",
            )
    return list(moments)


def _require_same_patient(moments: Sequence[TimelineScan]) -> None:
    """Check every pair of scans for one patient, because a result may lack ID, sex or age."""
    for n, moment in enumerate(moments):
        for other in moments[:n]:
            where = moment.folder or other.folder or Path(moment.name)
            days = _days([other, moment])[1]
            require_one_patient(other.result, moment.result, where, days=days)


def _days(moments: Sequence[TimelineScan]) -> list[int | None]:
    first = moments[0].scan_date
    return [(m.scan_date - first).days if first and m.scan_date else None for m in moments]


def _common_plane(moments: Sequence[TimelineScan]) -> Plane | None:
    """The plane in which most scans can be measured; of several, one preferred by early scans."""
    with_tumour = [moment for moment in moments if moment.result.diameters]
    if not with_tumour:
        return None
    preferred = [m.result.diameters.plane for m in with_tumour if m.result.diameters]
    if len(set(preferred)) == 1:
        return preferred[0]
    planes = dict.fromkeys(
        (*preferred, *(plane for moment in with_tumour for plane in moment.by_plane))
    )
    # The first of those that are equally good.
    return max(planes, key=lambda plane: sum(plane in moment.by_plane for moment in with_tumour))


def _lines(moment: TimelineScan, plane: Plane | None) -> Diameters | None:
    own = moment.result.diameters
    if own is None or plane is None or own.plane == plane:
        return own
    return moment.by_plane.get(plane)


def _product(moment: TimelineScan, lines: Diameters | None) -> float | None:
    if not moment.result.volume_ml:
        return 0.0
    return lines.product_mm2 if lines else None


def _large(lines: Diameters | None) -> bool:
    return lines is not None and min(lines.largest_mm, lines.perpendicular_mm) >= MEASURABLE_MM


def _warnings(moments: Sequence[TimelineScan]) -> Iterable[str]:
    results = [moment.result for moment in moments]
    if not all(moment.scan_date for moment in moments):
        yield (
            "not all dates are known: the scans stand as they were named, and whether a response "
            "was sustained for 8 weeks is not known"
        )
    dates = [moment.scan_date for moment in moments if moment.scan_date]
    if len(set(dates)) < len(dates):
        yield "two scans are of one date, and stand as they were named"
    if not all(result.patient_id for result in results):
        yield "not every result names its patient: that all are of one is taken on trust"
    if len({tuple(model.sha256 for model in result.models) for result in results}) > 1:
        yield "not all were predicted by the same model: a change may be the model's"
    if len({(threshold_setting(r), r.smallest_ml, r.inference) for r in results}) > 1:
        yield "not all were predicted with the same threshold and settings"
    if len({result.versions.get("plgg") for result in results}) > 1:
        yield "not all were predicted by the same version of plgg"
    if len({result.input.sequences for result in results}) > 1:
        yield "not all were predicted from the same sequences"
    first = len(results[0].components)
    if any(len(result.components) > max(first, 1) for result in results[1:]):
        yield (
            "a later scan has more parts than the first: look whether one is a new lesion, which "
            "is progression whatever its size"
        )
    odd = [m.name for m in moments if m.result.quality and m.result.quality.status != "good"]
    if odd:
        yield f"scans that are flagged: {', '.join(odd)}"


def with_timeline(result: Result, mask: Volume, priors: Sequence[TimelineScan]) -> Result:
    """Add to a new result the timeline of its scan and the earlier ones.

    Args:
        result: Of a scan that is not written yet.
        mask: Its mask.
        priors: The earlier ones.

    Raises:
        InputError: As `timeline`.
    """
    now = TimelineScan(result, None, result.scan_date, mask)
    return result.model_copy(update={"timeline": timeline([*priors, now])})


def latest(priors: Sequence[TimelineScan], before: date | None = None) -> TimelineScan:
    """The latest prior scan: by date if all dates are known, else in the given order.

    Args:
        priors: The earlier scans.
        before: Date of the new scan; later scans are skipped, unless all are later.
    """
    ordered = _ordered(priors)
    earlier = [p for p in ordered if not (before and p.scan_date and p.scan_date > before)]
    return (earlier or ordered)[-1]
