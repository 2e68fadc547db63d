"""Store one case of a manifest: read, preprocess, draw and write it; or keep it if unchanged."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plgg.config import same_preprocessing
from plgg.core.errors import PlggError
from plgg.core.placement import as_rows
from plgg.core.volume import Volume
from plgg.core.worker import describe_error
from plgg.data.budget import scan_limit
from plgg.data.check.usable import require_usable, usable_image, usable_scans
from plgg.data.labels import known_labels, to_label_map
from plgg.data.manifest import Case
from plgg.data.quality import Quality
from plgg.data.scan import Scan, open_scan, scan_sha256
from plgg.data.store import read_record, require_unaltered
from plgg.data.store_records import CaseRecord, StoredCase, StoredImage
from plgg.data.store_writing import write_case
from plgg.preprocess.gates.scan import GATES
from plgg.preprocess.pipeline import RejectedScanError, preprocess_scan
from plgg.preprocess.qc_overlay import draw_case, draw_failed, panels_of
from plgg.preprocess.registration.start import AtlasPosition
from plgg.preprocess.setup import Route

log = logging.getLogger(__name__)
Images = tuple[Volume, Volume | None]


@dataclass(frozen=True)
class Outcome:
    """Outcome of a case: its record, or the reason why there is none."""

    case_id: str
    stored: StoredCase | None
    reason: str | None = None
    quality: Quality | None = None


def attempt(case: Case, store: Path, route: Route) -> Outcome:
    """Store a case; if that fails, draw it and return the reason. Errors are not raised."""
    with scan_limit(route.scan_gib):
        return _attempt(case, store, route)


def _attempt(case: Case, store: Path, route: Route) -> Outcome:
    try:
        return Outcome(case.case_id, store_case(case, store, route))
    except RejectedScanError as error:
        failed, placed = Outcome(case.case_id, None, str(error), error.quality), error.placed
    except PlggError as error:
        failed, placed = Outcome(case.case_id, None, describe_error(error)), None
    except Exception as error:  # the one guard around a case of a batch
        log.exception("case %s failed unexpectedly", case.case_id)
        failed, placed = Outcome(case.case_id, None, describe_error(error)), None
    try:
        _draw_failed(case, failed, placed, store=store, route=route)
    except Exception as error:  # noqa: BLE001 - the same guard, while what failed is drawn
        log.warning("no picture of case %s: %s", case.case_id, describe_error(error))
    return failed


def store_case(case: Case, store: Path, route: Route) -> StoredCase:
    """Preprocess and write one case, unless the store has it from the same files and settings.

    Raises:
        RejectedScanError: If a gate refuses the scan.
        InputError: If the scan or the mask cannot be used.
    """
    kept = _reusable(case, store, route)
    if kept:
        return kept
    paths = case.sequences(route.channels)
    reference, path = next(iter(paths.items()))
    route = replace(route, sequence=reference)
    read, outlined = usable_scans(case, route.channels, route.labels)
    others = {n: usable_image(p, n) for n, p in paths.items() if n != reference}
    flair, mask = read.volume, outlined.volume if outlined else None
    volumes = {name: scan.volume for name, scan in others.items()}
    known, mask = _numbers(case, mask, route)
    preprocessed = preprocess_scan(flair, mask, route, age_years=case.age_years, others=volumes)
    channels = tuple(
        name for name in paths if name == reference or name in preprocessed.reference_from
    )
    stored = StoredCase(
        case_id=case.case_id,
        patient_id=case.patient_id,
        marker=case.marker,
        has_mask=mask is not None,
        site=case.site,
        age_years=case.age_years,
        sex=case.sex,
        flair=str(path.resolve()),
        flair_sha256=_sha256(path, read) or "",
        reference=reference,
        channels=channels,
        others={
            name: StoredImage(
                path=str(paths[name].resolve()),
                sha256=_sha256(paths[name], scan) or "",
                warnings=scan.doubts,
                used=name in channels,
            )
            for name, scan in others.items()
        },
        shape=preprocessed.prepared.placement.box_shape,
        status=preprocessed.quality.status,
        flair_warnings=read.doubts,
        mask_warnings=outlined.doubts if outlined else (),
        columns=dict(case.columns),
        labels=known,
    )
    _draw(case, (flair, mask), preprocessed.placed, preprocessed.quality, store=store, route=route)
    record = CaseRecord(
        case=stored,
        spacing_mm=route.grid.spacing_mm,
        grid=route.grid.kind,
        settings=route.settings,
        placement=preprocessed.prepared.placement,
        reference_from={n: as_rows(matrix) for n, matrix in preprocessed.reference_from.items()},
        labels=route.labels,
        mask_sha256=_sha256(case.mask, outlined) if case.mask else None,
        quality=preprocessed.quality,
    )
    truth = None if mask is None else mask.with_data(mask.data > 0)
    numbers = preprocessed.prepared.labels
    write_case(
        store,
        record,
        image=preprocessed.prepared.stack_channels(channels, reference),
        mask=preprocessed.prepared.mask,
        truth=truth,
        labels=None if numbers is None or mask is None else (numbers, mask),
        inputs=[*paths.values(), *([case.mask] if case.mask else [])],
    )
    return stored


def _numbers(
    case: Case, mask: Volume | None, route: Route
) -> tuple[tuple[str, ...], Volume | None]:
    """Labels that a mask annotates, and the mask as region numbers; unchanged without labels."""
    if mask is None or not route.labels:
        return (), mask
    known = known_labels(case, route.labels)
    return known, mask.with_data(to_label_map(mask.data, route.labels, known))


def picture_path(store: Path, case_id: str) -> Path:
    """Path of the QC picture of a case."""
    return store / "qc" / f"{case_id}.png"


def _draw(
    case: Case,
    images: Images,
    placed: AtlasPosition,
    quality: Quality,
    *,
    store: Path,
    route: Route,
) -> None:
    panels = panels_of(*images, placed, route.atlas)
    draw_case(picture_path(store, case.case_id), panels, title=case.case_id, quality=quality)


def _draw_failed(
    case: Case, failed: Outcome, placed: AtlasPosition | None, *, store: Path, route: Route
) -> None:
    """Draw a failed case: over the atlas if it was registered, else the native scan alone."""
    reason, quality = failed.reason or "", failed.quality
    if placed is None or quality is None:
        path, title = picture_path(store, case.case_id), case.case_id
        draw_failed(path, _readable(case, route), title=title, reason=reason, quality=quality)
    else:
        _draw(case, require_usable(case, route.channels), placed, quality, store=store, route=route)


def _readable(case: Case, route: Route) -> Volume | None:
    """The scan; None where it cannot be read, for whatever reason."""
    try:
        name, path = next(iter(case.sequences(route.channels).items()))
        return open_scan(path, name).volume
    except Exception as error:  # noqa: BLE001 - the same guard, while what failed is drawn
        log.info("case %s cannot be drawn: %s", case.case_id, describe_error(error))
        return None


def _sha256(path: Path, read: Scan | None) -> str | None:
    """SHA-256 of the bytes that were read; of DICOM, of all files in the folder."""
    return (read and read.sha256) or scan_sha256(path)


def _hashes(paths: Mapping[str, Path], mask: Path | None) -> dict[str, str | None]:
    """SHA-256 of each sequence and of the mask; None for what is not there."""
    found = {name: scan_sha256(path) for name, path in paths.items()}
    return found | {"mask": scan_sha256(mask) if mask else None}


def _reusable(case: Case, store: Path, route: Route) -> StoredCase | None:
    """The stored case, with columns of the manifest, if its files and settings are the same."""
    try:
        record = read_record(store, case.case_id)
        require_unaltered(store, record)
        paths = case.sequences(route.channels)
    except PlggError:
        return None
    stored = record.case
    # A mask that is named but missing has no hash either, and must be reported.
    named = stored.has_mask == (case.mask is not None)
    if not named or not _made_so(record, route) or not _tells_alike(case, stored, route):
        return None
    if [stored.reference, *stored.others] != [*paths]:
        return None
    made_from = {stored.reference: stored.flair_sha256, "mask": record.mask_sha256}
    made_from |= {name: image.sha256 for name, image in stored.others.items()}
    if made_from != _hashes(paths, case.mask):
        return None
    others = {
        name: image.model_copy(update={"path": str(paths[name].resolve())})
        for name, image in stored.others.items()
    }
    return stored.model_copy(
        update={
            "patient_id": case.patient_id,
            "marker": case.marker,
            "site": case.site,
            "age_years": case.age_years,
            "sex": case.sex,
            "flair": str(paths[stored.reference].resolve()),
            "others": others,
            "columns": dict(case.columns),
        }
    )


def _tells_alike(case: Case, stored: StoredCase, route: Route) -> bool:
    """Whether a stored mask annotates the labels that the manifest names for it."""
    if case.mask is None or not route.labels:
        return not stored.labels
    return stored.labels == known_labels(case, route.labels)


def _made_so(record: CaseRecord, route: Route) -> bool:
    """Whether a case was made with these settings, and all gates of plugins were run on it."""
    alike = same_preprocessing(record.settings, route.settings)
    same_grid = (record.grid, record.spacing_mm) == (route.grid.kind, route.grid.spacing_mm)
    asked = {verdict.gate for verdict in record.quality.verdicts} if record.quality else set()
    return alike and same_grid and record.labels == route.labels and asked.issuperset(GATES.added())
