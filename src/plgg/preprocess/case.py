"""One case of a manifest into the store: read, travel, draw, write; kept if it is there already."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from plgg.config import same_preprocessing
from plgg.core.errors import PlggError
from plgg.core.volume import Volume
from plgg.core.worker import told
from plgg.data.budget import scan_limit
from plgg.data.check.usable import require_usable, usable_scans
from plgg.data.manifest import Case
from plgg.data.quality import Quality
from plgg.data.scan import Scan, read_scan, scan_sha256
from plgg.data.store import CaseRecord, StoredCase, read_record, require_unaltered, write_case
from plgg.preprocess.pipeline import RejectedScanError, travel
from plgg.preprocess.qc_overlay import draw_case, draw_failed, panels_of
from plgg.preprocess.registration.start import Placed
from plgg.preprocess.setup import Route

log = logging.getLogger(__name__)
Images = tuple[Volume, Volume | None]


@dataclass(frozen=True)
class Outcome:
    """What became of a case: its record, or the reason why there is none."""

    case_id: str
    stored: StoredCase | None
    reason: str | None = None
    quality: Quality | None = None


def attempt(case: Case, store: Path, route: Route) -> Outcome:
    """Store a case, or say why not and draw what was seen of it; nothing is raised for one case."""
    with scan_limit(route.scan_gib):
        return _attempt(case, store, route)


def _attempt(case: Case, store: Path, route: Route) -> Outcome:
    try:
        return Outcome(case.case_id, store_case(case, store, route))
    except RejectedScanError as error:
        failed, placed = Outcome(case.case_id, None, str(error), error.quality), error.placed
    except PlggError as error:
        failed, placed = Outcome(case.case_id, None, told(error)), None
    except Exception as error:  # the one guard around a case of a batch
        log.exception("case %s failed unexpectedly", case.case_id)
        failed, placed = Outcome(case.case_id, None, told(error)), None
    try:
        _draw_failed(case, failed, placed, store=store, route=route)
    except Exception as error:  # noqa: BLE001 - the same guard, while what failed is drawn
        log.warning("no picture of case %s: %s", case.case_id, told(error))
    return failed


def store_case(case: Case, store: Path, route: Route) -> StoredCase:
    """Prepare and write one case, unless the store holds it made from the same files, this way.

    Raises:
        RejectedScanError: If a gate does not let it through.
        InputError: If the scan or the mask cannot be used.
    """
    kept = _kept(case, store, route)
    if kept:
        return kept
    read, outlined = usable_scans(case)
    flair, mask = read.volume, outlined.volume if outlined else None
    arrived = travel(flair, mask, route, age_years=case.age_years)
    stored = StoredCase(
        case_id=case.case_id,
        patient_id=case.patient_id,
        marker=case.marker,
        has_mask=mask is not None,
        site=case.site,
        age_years=case.age_years,
        sex=case.sex,
        flair=str(case.flair.resolve()),
        flair_sha256=_sha256(case.flair, read) or "",
        shape=arrived.prepared.placement.box_shape,
        status=arrived.quality.status,
        flair_warnings=read.doubts,
        mask_warnings=outlined.doubts if outlined else (),
        columns=dict(case.columns),
    )
    _draw(case, (flair, mask), arrived.placed, arrived.quality, store=store, route=route)
    record = CaseRecord(
        case=stored,
        spacing_mm=route.spacing_mm,
        settings=route.settings,
        placement=arrived.prepared.placement,
        mask_sha256=_sha256(case.mask, outlined) if case.mask else None,
        quality=arrived.quality,
    )
    truth = None if mask is None else mask.with_data(mask.data > 0)
    write_case(
        store,
        record,
        image=arrived.prepared.image,
        mask=arrived.prepared.mask,
        truth=truth,
        inputs=[path for path in (case.flair, case.mask) if path],
    )
    return stored


def picture_path(store: Path, case_id: str) -> Path:
    """Where the picture of a case lies."""
    return store / "qc" / f"{case_id}.png"


def _draw(
    case: Case, images: Images, placed: Placed, quality: Quality, *, store: Path, route: Route
) -> None:
    panels = panels_of(*images, placed, route.atlas)
    draw_case(picture_path(store, case.case_id), panels, title=case.case_id, quality=quality)


def _draw_failed(
    case: Case, failed: Outcome, placed: Placed | None, *, store: Path, route: Route
) -> None:
    """What a gate refused is drawn where registration left it: that shows best what is wrong."""
    reason, quality = failed.reason or "", failed.quality
    if placed is None or quality is None:
        path, title = picture_path(store, case.case_id), case.case_id
        draw_failed(path, _readable(case), title=title, reason=reason, quality=quality)
    else:
        _draw(case, require_usable(case), placed, quality, store=store, route=route)


def _readable(case: Case) -> Volume | None:
    """The scan where it can be read, whatever the reason why it cannot."""
    try:
        return read_scan(case.flair)
    except Exception as error:  # noqa: BLE001 - the same guard, while what failed is drawn
        log.info("case %s cannot be drawn: %s", case.case_id, told(error))
        return None


def _sha256(path: Path, read: Scan | None) -> str | None:
    """Of the bytes that were read; of DICOM, of all files that lie there."""
    return (read and read.sha256) or scan_sha256(path)


def _hashes(case: Case) -> tuple[str | None, str | None]:
    """SHA-256 of the scan and of the mask; None for what is not there."""
    return scan_sha256(case.flair), scan_sha256(case.mask) if case.mask else None


def _kept(case: Case, store: Path, route: Route) -> StoredCase | None:
    """The stored case, if it was made from these files this way; labels follow the manifest."""
    try:
        record = read_record(store, case.case_id)
        require_unaltered(store, record)
    except PlggError:
        return None
    # A mask that is named but not there has no hash either, and must be told.
    named = record.case.has_mask == (case.mask is not None)
    if not named or not _made_so(record, route):
        return None
    if (record.case.flair_sha256, record.mask_sha256) != _hashes(case):
        return None
    return record.case.model_copy(
        update={
            "patient_id": case.patient_id,
            "marker": case.marker,
            "site": case.site,
            "age_years": case.age_years,
            "sex": case.sex,
            "flair": str(case.flair.resolve()),
            "columns": dict(case.columns),
        }
    )


def _made_so(record: CaseRecord, route: Route) -> bool:
    """Whether a case was made by this route."""
    alike = same_preprocessing(record.settings, route.settings)
    return alike and record.spacing_mm == route.spacing_mm
