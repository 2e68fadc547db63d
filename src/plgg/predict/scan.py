"""Predicting scans: one folder a case, on the native grid, whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.config import with_atlas
from plgg.core.case_id import case_id_fault, require_case_id
from plgg.core.errors import InputError, PlggError
from plgg.core.files import sha256, write_json
from plgg.core.folders import PREDICTION, replaced, require_replaceable, require_untaken
from plgg.core.output import PREDICTIONS, output_folder, require_free
from plgg.core.paths import below
from plgg.core.progress import Clock, Progress
from plgg.core.volume import Volume
from plgg.data.budget import scan_limit
from plgg.data.dicom.segmentation import write_segmentation
from plgg.data.nifti.image import write_probability, write_volume
from plgg.data.result import Result, read_result
from plgg.measure.change import read_prior
from plgg.measure.components import without_small
from plgg.measure.uncertainty import entropy
from plgg.predict.describe import Prior, RawPrediction, describe
from plgg.predict.ensemble import Ensemble
from plgg.predict.source import Loaded, Scan
from plgg.preprocess.normalise import restore

MASK = "mask.nii.gz"
PROBABILITY = "probability.nii.gz"
UNCERTAINTY = "uncertainty.nii.gz"
SEGMENTATION = "segmentation.dcm"
RESULT = "result.json"
REPORT = "report.html"


def kept_result(folder: Path, files: Iterable[str]) -> Result | None:
    """The result in a folder that holds all of these files; None if it does not."""
    if not all((folder / name).is_file() for name in files):
        return None
    try:
        return read_result(folder / RESULT)
    except InputError:
        return None


log = logging.getLogger(__name__)
_NO_SEGMENTATION = "no DICOM SEG was made"
Page = Callable[[Path, Volume], object]
"""Draws `report.html` of a prediction folder over the native scan."""


@dataclass(frozen=True)
class Outcome:
    """What became of a scan: its result, or the reason why there is none."""

    case_id: str
    result: Result | None
    reason: str | None = None


class Predictor:
    """Trained networks, ready for scans.

    Args:
        networks: One or several.
        atlas: Where the atlas of their scans lies now, if not where it was.
        prior: Folder of an earlier prediction of the same patient.
        scan_gib: GiB that one scan may unpack to; as the settings say if None.
        page: Draws the page of each scan; None for no pages.
    """

    def __init__(
        self,
        networks: Ensemble,
        *,
        atlas: str | None = None,
        prior: Path | None = None,
        scan_gib: float | None = None,
        page: Page | None = None,
    ) -> None:
        self.networks = networks
        self.config = with_atlas(networks.config, atlas)
        self.prior = Prior(prior, read_prior(prior)) if prior else None
        self.scan_gib = scan_gib or self.config.execution.scan_gib
        self.page = page

    def predict(self, scan: Scan, out: Path) -> Result:
        """Predict one scan into `out/CASE`; the same result that is there already is kept.

        Raises:
            PlggError: If the scan cannot be used or the result not be written.
        """
        with scan_limit(self.scan_gib):
            return self._predict(scan, out)

    def _predict(self, scan: Scan, out: Path) -> Result:
        # `out / ".."` would be replaced with all that is in it.
        require_case_id(scan.case_id, where=scan.path, remedy="Rename the file.")
        folder = below(out, scan.case_id)
        self._refuse_own_prior(folder)
        kept = kept_result(folder, self._files(scan))
        if kept and self._same(kept, scan) and _has_segmentation(folder, kept):
            return kept
        require_replaceable(folder, PREDICTION, inputs=[scan.path])
        found, result = self._answer(scan)
        return self._write(folder, scan, found, result)

    def answer(self, scan: Scan) -> tuple[RawPrediction, Result]:
        """Predict one scan and write nothing.

        Raises:
            PlggError: If the scan cannot be used.
        """
        with scan_limit(self.scan_gib):
            return self._answer(scan)

    def _answer(self, scan: Scan) -> tuple[RawPrediction, Result]:
        clock = Clock()
        with clock.step("read and prepare"):
            loaded = scan.load(self.config)
            digest = loaded.sha256 or scan.digest(self.config)
        found = self._found(loaded, clock)
        return found, describe(scan, digest, found, self.networks, prior=self.prior)

    def _refuse_own_prior(self, folder: Path) -> None:
        if self.prior and self.prior.folder.resolve() == folder.resolve():
            raise InputError(
                "is the earlier prediction, and the new one would take its place",
                where=folder,
                remedy="Choose another --out folder.",
            )

    def _found(self, loaded: Loaded, clock: Clock) -> RawPrediction:
        placement = loaded.prepared.placement
        with clock.step("network"):
            box = self.networks.answer(
                loaded.image,
                slice_mm=placement.slice_mm,
                age_years=loaded.age_years,
                sex=loaded.sex,
            )
        with clock.step("back to the native grid"):
            tumour = restore(box.tumour, placement)
            mask = without_small(
                tumour.data >= self.networks.threshold,
                voxel_volume_ml=tumour.voxel_volume_ml,
                smallest_ml=self.networks.smallest_ml,
            )
        return RawPrediction(loaded, box, tumour.with_data(mask), tumour, clock)

    def _files(self, scan: Scan) -> list[str]:
        wanted = [MASK, PROBABILITY, UNCERTAINTY, RESULT]
        # A store may have outlived its scans; then there is nothing to draw over.
        if self.page and scan.kind != "store":
            wanted.append(REPORT)
        return wanted

    def _same(self, kept: Result, scan: Scan) -> bool:
        """Whether a result was made from this scan, by these networks, in this way."""
        prior = str(self.prior.folder) if self.prior else None
        return (
            kept.input.sha256 == scan.digest(self.config)
            and kept.models == tuple(member.model for member in self.networks.members)
            and kept.inference == self.networks.inference
            and kept.engine == self.networks.engine
            and _as_given(scan.age_years, kept.age_years, scan)
            and _as_given(scan.sex, kept.sex, scan)
            and (kept.change.prior if kept.change else None) == prior
        )

    def _write(self, folder: Path, scan: Scan, found: RawPrediction, result: Result) -> Result:
        tumour, native = found.tumour, found.loaded.native
        with replaced(folder, PREDICTION, inputs=[scan.path]) as aside:
            write_volume(aside / MASK, found.mask)
            write_probability(aside / PROBABILITY, tumour)
            write_probability(aside / UNCERTAINTY, tumour.with_data(entropy(tumour.data)))
            if scan.kind == "dicom":
                reference = found.loaded.sequences[0]
                lost = _write_segmentation(aside / SEGMENTATION, found.mask, scan, reference)
                result = result.model_copy(update={"warnings": (*result.warnings, *lost)})
            written = {path.name: sha256(path) for path in sorted(aside.iterdir())}
            result = result.model_copy(update={"files": written})
            write_json(aside / RESULT, result.model_dump(mode="json"))
            if self.page and native:
                self.page(aside, native)
        return result


def _as_given(given: float | str | None, kept: float | str | None, scan: Scan) -> bool:
    """Whether what is known of the patient is the same; a DICOM header may have said it."""
    return given == kept or (given is None and scan.kind == "dicom")


def _write_segmentation(path: Path, mask: Volume, scan: Scan, sequence: str) -> tuple[str, ...]:
    """Write the DICOM SEG; a source that cannot carry one costs that file alone, and is told."""
    try:
        write_segmentation(path, mask, scan.path, sequence)
    except InputError as error:
        return (f"{_NO_SEGMENTATION}: {error.what}",)
    return ()


def _has_segmentation(folder: Path, kept: Result) -> bool:
    """Whether a DICOM SEG is there, or was found impossible, or is not wanted."""
    told = any(warning.startswith(_NO_SEGMENTATION) for warning in kept.warnings)
    return kept.input.kind != "dicom" or told or (folder / SEGMENTATION).is_file()


def predict_scans(
    scans: Sequence[Scan], predictor: Predictor, out: Path, *, progress: Progress | None = None
) -> list[Outcome]:
    """Predict many scans; one that fails is named and the others go on.

    Returns:
        An outcome for every scan, in their order.

    Raises:
        OutputError: If the folder cannot be written to, or a case's folder would take the place of
            something else: nothing is predicted then.
    """
    require_free_places(scans, out)
    outcomes: list[Outcome] = []
    with output_folder(out, PREDICTIONS):
        for scan in scans:
            outcomes.append(guarded(scan, predictor, out))
            if progress:
                failed = sum(outcome.result is None for outcome in outcomes)
                progress(len(outcomes), len(scans), failed)
    return outcomes


def require_free_places(scans: Iterable[Scan], out: Path) -> None:
    """Check that every case's folder is free or a prediction, and holds no scan.

    Raises:
        OutputError: If one is not.
    """
    require_free(out, PREDICTIONS)
    for scan in scans:
        if case_id_fault(scan.case_id) is None:  # else that case fails by itself
            require_untaken(out / scan.case_id, PREDICTION, inputs=[scan.path])


def guarded(scan: Scan, predictor: Predictor, out: Path) -> Outcome:
    """Predict a scan; a failure, whatever it is, is that scan's outcome."""
    try:
        return Outcome(scan.case_id, predictor.predict(scan, out))
    except PlggError as error:
        return Outcome(scan.case_id, None, str(error))
    except Exception as error:  # the one guard around a case of a batch
        log.exception("case %s failed unexpectedly", scan.case_id)
        return Outcome(scan.case_id, None, f"unexpected {type(error).__name__}: {error}")
