"""Make a synthetic cohort: classes, missing values, images, masks and the manifest.

    OUT/manifest.csv
    OUT/images/CASE_flair.nii.gz, CASE_mask.nii.gz, and CASE_t2.nii.gz and the like, if asked for

Equal settings give equal files, whatever the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from plgg.core.errors import ConfigError
from plgg.core.files import make_folder
from plgg.core.output import PATIENTS, output_folder
from plgg.core.workers import in_workers
from plgg.data.manifest import Case, write_manifest
from plgg.data.nifti.image import write_volume
from plgg.phantom.patient import draw_person, make_scan
from plgg.phantom.plan import CLASS_SHARES
from plgg.phantom.settings import CLASSES, Marker, PhantomSettings, Stream, cohort_stream

Progress = Callable[[int, int], None]
FOLLOW_UP_ID = "2"


class _Job(NamedTuple):
    """One scan to make, as a job for a worker process."""

    settings: PhantomSettings
    patient: int
    marker: Marker
    scan: int
    flair: Path
    mask: Path | None


def make_cohort(
    out: Path, settings: PhantomSettings, *, progress: Progress | None = None, workers: int = 1
) -> list[Case]:
    """Make a synthetic cohort over the SRI24 atlas' field of view (240×240×155 mm).

    Images are int16, skull-stripped and in place on the atlas; masks are uint8. Files of an earlier
    cohort of the same name are overwritten.

    Args:
        out: Folder to write to.
        settings: Settings of the cohort.
        progress: Called with the number of scans done and of all scans.
        workers: Processes to use; the files do not depend on it.

    Returns:
        The cases as the manifest lists them: sorted by patient, with absolute or relative paths as
        `out` is.

    Raises:
        ConfigError: If `workers` is below 1.
        OutputError: If the folder cannot be written to, or holds a manifest or images that are not
            of a synthetic cohort.
    """
    if workers < 1:
        raise ConfigError(f"workers is {workers}", remedy="Use 1 or more.")
    with output_folder(out, PATIENTS):
        return _make_cohort(out, settings, progress=progress, workers=workers)


def _make_cohort(
    out: Path, settings: PhantomSettings, *, progress: Progress | None, workers: int
) -> list[Case]:
    make_folder(out / "images")
    jobs, cases = _plan_cohort(out, settings)
    for n_done, _ in enumerate(_finished(jobs, workers), start=1):
        if progress is not None:
            progress(n_done, len(jobs))
    follow_ups = {case.case_id: FOLLOW_UP_ID for case in cases if case.case_id != case.patient_id}
    write_manifest(out / "manifest.csv", cases, scan_ids=follow_ups)
    return cases


def draw_markers(settings: PhantomSettings) -> list[Marker]:
    """The class of each patient: fixed numbers of each class, shuffled.

    The largest remainders are rounded up; from three patients on, each class occurs.
    """
    wanted = np.array(CLASS_SHARES[settings.population]) * settings.n_patients
    counts = np.floor(wanted).astype(int)
    for index in np.argsort(counts - wanted, kind="stable")[: settings.n_patients - counts.sum()]:
        counts[index] += 1
    while settings.n_patients >= len(CLASSES) and counts.min() == 0:
        counts[np.argmax(counts)] -= 1
        counts[np.argmin(counts)] += 1
    markers = [name for name, n in zip(CLASSES, counts, strict=True) for _ in range(n)]
    order = cohort_stream(settings.seed, Stream.CLASSES).permutation(len(markers))
    return [markers[index] for index in order]


def _plan_cohort(out: Path, settings: PhantomSettings) -> tuple[list[_Job], list[Case]]:
    markers = draw_markers(settings)
    patients = range(settings.n_patients)
    followed = _chosen(settings, Stream.FOLLOW_UP, settings.second_scans, len(patients))
    unknown = _chosen(settings, Stream.MISSING_MARKERS, settings.missing_markers, len(patients))
    scans = [(patient, scan) for patient in patients for scan in range(1 + (patient in followed))]
    unmasked = _chosen(settings, Stream.MISSING_MASKS, settings.missing_masks, len(scans))
    jobs, cases = [], []
    for number, (patient, scan) in enumerate(scans):
        job = _job(
            out, settings, patient, markers[patient], scan=scan, masked=number not in unmasked
        )
        jobs.append(job)
        cases.append(_case(job, marker_known=patient not in unknown))
    return jobs, cases


def _chosen(settings: PhantomSettings, purpose: Stream, share: float, n: int) -> set[int]:
    """A random choice of n items, of exactly the rounded share."""
    order = cohort_stream(settings.seed, purpose).permutation(n)
    return {int(index) for index in order[: round(share * n)]}


def _job(
    out: Path, settings: PhantomSettings, patient: int, marker: Marker, *, scan: int, masked: bool
) -> _Job:
    name = f"{_patient_id(patient)}_{FOLLOW_UP_ID}" if scan else _patient_id(patient)
    images = out / "images"
    mask = images / f"{name}_mask.nii.gz" if masked else None
    return _Job(settings, patient, marker, scan, images / f"{name}_flair.nii.gz", mask)


def _others(job: _Job) -> dict[str, Path]:
    """Paths of the sequences beside the FLAIR."""
    stem = job.flair.name.removesuffix("_flair.nii.gz")
    names = [name for name in job.settings.sequences if name != "flair"]
    return {name: job.flair.with_name(f"{stem}_{name}.nii.gz") for name in names}


def _patient_id(patient: int) -> str:
    return f"phantom-{patient + 1:03d}"


def _case(job: _Job, *, marker_known: bool) -> Case:
    person = draw_person(job.settings, job.patient, job.marker)
    later = person.follow_up_years if job.scan else 0.0
    return Case(
        case_id=job.flair.name.removesuffix("_flair.nii.gz"),
        patient_id=_patient_id(job.patient),
        flair=job.flair,
        mask=job.mask,
        marker=job.marker if marker_known else None,
        site=person.site.name,
        age_years=round(person.age_years + later, 1),
        sex=person.sex,
        others=_others(job),
    )


def _finished(jobs: list[_Job], workers: int) -> Iterator[None]:
    """Yield once for each scan that is written."""
    if workers == 1 or len(jobs) == 1:
        yield from map(_make, jobs)
        return
    with closing(in_workers(jobs, _make_one, start=_init_worker, workers=workers)) as outcomes:
        for outcome in outcomes:
            yield outcome.required()


def _init_worker() -> None:
    """Initialise a worker process, which needs no state."""


def _make_one(_: None, job: _Job) -> None:
    _make(job)


def _make(job: _Job) -> None:
    flair, mask = make_scan(job.settings, job.patient, job.marker, scan=job.scan)
    write_volume(job.flair, flair)
    for name, path in _others(job).items():
        other, _ = make_scan(job.settings, job.patient, job.marker, scan=job.scan, sequence=name)
        write_volume(path, other)
    if job.mask is not None:
        write_volume(job.mask, mask)
