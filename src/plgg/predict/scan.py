"""Predict scans: one folder a case with masks on the native grid, written atomically."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from plgg.config import with_atlas
from plgg.core.case_id import case_id_fault, require_case_id
from plgg.core.errors import InputError, PlggError
from plgg.core.files import sha256, write_json
from plgg.core.folders import PREDICTION, replace_folder, require_replaceable, require_untaken
from plgg.core.output import PREDICTIONS, output_folder, require_free
from plgg.core.paths import join_inside
from plgg.core.placement import Placement
from plgg.core.prediction_files import (
    DOCUMENT,
    LABELS,
    MASK,
    PROBABILITY,
    REPORT,
    RESULT,
    UNCERTAINTY,
)
from plgg.core.progress import Clock, Progress
from plgg.core.volume import Volume
from plgg.data.budget import scan_limit
from plgg.data.labels import merge_masks
from plgg.data.nifti.image import read_volume, write_probability, write_volume
from plgg.data.result import Result, probability_file, read_result
from plgg.measure.timeline import latest, read_timeline_scans, with_timeline
from plgg.measure.uncertainty import entropy
from plgg.model.device import spare_one_core
from plgg.predict.describe import RawPrediction, build_result, marker_input_warning
from plgg.predict.ensemble import Ensemble, EnsemblePrediction
from plgg.predict.preparation import InferenceInput, Preparation
from plgg.predict.source import Scan
from plgg.predict.study import StudyObjects, has_study_objects, write_study_objects
from plgg.preprocess.assessment_process import AssessmentProcess
from plgg.preprocess.normalise import restore


def read_complete_result(folder: Path, files: Iterable[str]) -> Result | None:
    """Read the result of a folder that holds all of these files; None if it does not."""
    if not all((folder / name).is_file() for name in files):
        return None
    try:
        return read_result(folder / RESULT)
    except InputError:
        return None


log = logging.getLogger(__name__)
Page = Callable[[Path, Volume], object]
"""Function that draws `report.html` or `report.pdf` of a prediction folder and its native scan."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a scan: its result, or the reason why there is none."""

    case_id: str
    result: Result | None
    reason: str | None = None


class Predictor:
    """Predicts scans with loaded networks and writes the results.

    Args:
        networks: The ensemble, of one or several networks.
        atlas: Where the atlas of the networks is now, if it was moved since the training.
        prior: Folder of an earlier prediction of the same patient, or folders of several.
        scan_date: Of the scan, where it is given.
        scan_gib: Largest size of an unpacked scan, GiB; None for the setting of the networks.
        page: Draws `report.html` of each scan; None for no pages.
        document: Draws `report.pdf`, which a DICOM study gets as an object, too; None for none.
        structures: Whether to write an RTSTRUCT of a DICOM scan.

    Attributes:
        assessor: Process that registers scans while this one runs the networks; None for none.
    """

    def __init__(
        self,
        networks: Ensemble,
        *,
        atlas: str | None = None,
        prior: Path | Sequence[Path] | None = None,
        scan_date: date | None = None,
        scan_gib: float | None = None,
        page: Page | None = None,
        document: Page | None = None,
        structures: bool = False,
    ) -> None:
        self.networks = networks
        self.config = with_atlas(networks.config, atlas)
        self.priors = read_timeline_scans([prior] if isinstance(prior, Path) else prior or ())
        self.scan_date = scan_date
        self.scan_gib = scan_gib or self.config.execution.scan_gib
        self.page = page
        self.document = document
        self.structures = structures
        self.assessor: AssessmentProcess | None = None

    def predict(self, scan: Scan, out: Path) -> Result:
        """Predict one scan into `out/CASE`, unless the same result is there already.

        Raises:
            PlggError: If the scan cannot be used or the result not be written.
        """
        with scan_limit(self.scan_gib):
            return self._predict(scan, out)

    def _predict(self, scan: Scan, out: Path) -> Result:
        # A case called `..` would replace the parent of `out` and all that is in it.
        require_case_id(scan.case_id, where=scan.path, remedy="Rename the file.")
        folder = join_inside(out, scan.case_id)
        self._refuse_own_prior(folder)
        kept = read_complete_result(folder, self._files(scan))
        if kept and self._is_up_to_date(kept, scan, folder) and self._has_objects(folder, kept):
            return kept
        require_replaceable(folder, PREDICTION, inputs=[scan.path])
        found, result = self._answer(scan)
        return self._write(folder, scan, found, result)

    def predict_in_memory(self, scan: Scan) -> tuple[RawPrediction, Result]:
        """Predict one scan and write nothing.

        Raises:
            PlggError: If the scan cannot be used.
        """
        with scan_limit(self.scan_gib):
            return self._answer(scan)

    def _answer(self, scan: Scan) -> tuple[RawPrediction, Result]:
        self._refuse_unknown_marker(scan)
        clock = Clock()
        loaded, box = self._prepare_and_run(scan, clock)
        digest = loaded.sha256 or scan.digest(self.config)
        found = self._raw_prediction(loaded, box, clock)
        return found, build_result(
            scan, digest, found, self.networks, priors=self.priors, scan_date=self.scan_date
        )

    def _prepare_and_run(
        self, scan: Scan, clock: Clock
    ) -> tuple[InferenceInput, EnsemblePrediction]:
        """Preprocess a scan and run the networks, during its registration where that is possible.

        Where the registration changes their input, they run again.
        """
        with clock.step("read and prepare"):
            coming = self._start_preparation(scan)
        early, box = coming.early, None
        if early:
            # A gate's refusal takes precedence: `finish` raises it, and other errors come again.
            with suppress(PlggError), spare_one_core():
                box = self._run_networks(early, clock, scan.marker)
        with clock.step("read and prepare"):
            loaded = coming.finish()
        if box is None or early is None or loaded.image is not early.image:
            box = self._run_networks(loaded, clock, scan.marker)
        return loaded, box

    def _refuse_own_prior(self, folder: Path) -> None:
        folders = [one.folder.resolve() for one in self.priors if one.folder]
        if folder.resolve() in folders:
            raise InputError(
                "is the earlier prediction, and the new one would take its place",
                where=folder,
                remedy="Choose another --out folder.",
            )

    def _refuse_unknown_marker(self, scan: Scan) -> None:
        """Require the true marker where it is an input; store cases may lack it, as in training."""
        if self.networks.uses_true_marker and scan.marker is None and scan.kind != "store":
            raise InputError(
                "the model must be told the true marker (arm oracle), and that of this scan is "
                "unknown",
                where=scan.case_id,
                remedy="Use a model of another arm: an oracle is for experiments alone.",
            )

    def _start_preparation(self, scan: Scan) -> Preparation:
        if self.assessor is None or scan.begin is None:
            return Preparation(partial(scan.load, self.config))
        return scan.begin(self.config, self.assessor)

    def _run_networks(
        self, loaded: InferenceInput, clock: Clock, marker: str | None
    ) -> EnsemblePrediction:
        placement = loaded.prepared.placement
        with clock.step("network"):
            return self.networks.answer(
                loaded.image,
                slice_mm=placement.slice_mm,
                age_years=loaded.age_years,
                sex=loaded.sex,
                placement=placement,
                native=loaded.native,
                marker=marker,
            )

    def _raw_prediction(
        self, loaded: InferenceInput, box: EnsemblePrediction, clock: Clock
    ) -> RawPrediction:
        placement = loaded.prepared.placement
        with clock.step("back to the native grid"):
            tumour = restore(box.tumour, placement) if box.native is None else box.native
            whole = self.networks.threshold_mask(tumour)
            native = tumour.with_data(whole.mask)
            inner, thresholds, numbers = self._regions(box, native, placement)
        return RawPrediction(
            loaded,
            box,
            mask=native,
            tumour=tumour,
            clock=clock,
            thresholds=(whole.threshold, *thresholds),
            threshold_rule=whole.rule,
            inner=inner,
            numbers=numbers,
        )

    def _regions(
        self, box: EnsemblePrediction, mask: Volume, placement: Placement
    ) -> tuple[dict[str, Volume], list[float], Volume | None]:
        """Probabilities of the regions within the tumour, their thresholds, and one map of all."""
        labels = self.networks.labels
        if not labels or box.inner is None:
            return {}, [], None
        inner = {
            label.name: restore(outline, placement)
            for label, outline in zip(labels[1:], box.inner, strict=True)
        }
        masks, thresholds = [mask.data], []
        for place, probability in enumerate(inner.values(), start=1):
            within = np.where(mask.data, probability.data, np.float32(0.0))
            region = self.networks.threshold_mask(mask.with_data(within), place)
            thresholds.append(region.threshold)
            masks.append(region.mask)
        return inner, thresholds, mask.with_data(merge_masks(masks, labels))

    def _files(self, scan: Scan) -> list[str]:
        wanted = [MASK, PROBABILITY, UNCERTAINTY, RESULT]
        if self.networks.labels:
            wanted += [LABELS, *(probability_file(one) for one in self.networks.labels[1:])]
        # The native scans of a store may be gone, so its cases get no pages.
        if self.page and scan.kind != "store":
            wanted.append(REPORT)
        if self.document and scan.kind != "store":
            wanted.append(DOCUMENT)
        return wanted

    def _has_objects(self, folder: Path, kept: Result) -> bool:
        document = self.document is not None
        return has_study_objects(folder, kept, structures=self.structures, document=document)

    def _is_up_to_date(self, kept: Result, scan: Scan, folder: Path) -> bool:
        """Whether a result was made from this scan, by these networks, with these options."""
        return (
            kept.input.sha256 == scan.digest(self.config)
            and kept.models == tuple(member.model for member in self.networks.members)
            and kept.inference == self.networks.inference
            and kept.engine == self.networks.engine
            and set(marker_input_warning(scan, self.networks)) <= set(kept.warnings)
            and _is_same_patient_value(scan.age_years, kept.age_years, scan)
            and _is_same_patient_value(scan.sex, kept.sex, scan)
            and kept.scan_date == self.scan_date
            and self._same_priors(kept, folder)
        )

    def _same_priors(self, kept: Result, folder: Path) -> bool:
        """Whether a result was compared with the same earlier results, in their present state."""
        prior = str(latest(self.priors, self.scan_date).folder) if self.priors else None
        if (kept.change.prior if kept.change else None) != prior:
            return False
        if len(self.priors) < 2 or kept.timeline is None:
            return (len(self.priors) < 2) == (kept.timeline is None)
        return with_timeline(kept, read_volume(folder / MASK), self.priors) == kept

    def _write(self, folder: Path, scan: Scan, found: RawPrediction, result: Result) -> Result:
        tumour, native = found.tumour, found.loaded.native
        with replace_folder(folder, PREDICTION, inputs=[scan.path]) as aside:
            write_volume(aside / MASK, found.mask)
            write_probability(aside / PROBABILITY, tumour)
            write_probability(aside / UNCERTAINTY, tumour.with_data(entropy(tumour.data)))
            for label in self.networks.labels[1:]:
                write_probability(aside / probability_file(label), found.inner[label.name])
            if found.numbers:
                write_volume(aside / LABELS, found.numbers)
            objects = self._objects(aside, scan, found, result)
            result = result.model_copy(update={"warnings": (*result.warnings, *objects.lost)})
            written = {path.name: sha256(path) for path in sorted(aside.iterdir())}
            result = result.model_copy(update={"files": written})
            write_json(aside / RESULT, result.model_dump(mode="json"))
            if self.page and native:
                self.page(aside, native)
            if self.document and native:
                self.document(aside, native)
                objects.write_document(aside, aside / DOCUMENT)
        return result

    def _objects(
        self, aside: Path, scan: Scan, found: RawPrediction, result: Result
    ) -> StudyObjects:
        if scan.kind != "dicom":
            return StudyObjects()
        return write_study_objects(
            aside,
            found.mask,
            scan.path,
            result,
            structures=self.structures,
            numbers=found.numbers,
        )


def _is_same_patient_value(given: float | str | None, kept: float | str | None, scan: Scan) -> bool:
    """Whether a value of the patient is as given; for DICOM the header may have supplied it."""
    return given == kept or (given is None and scan.kind == "dicom")


def predict_scans(
    scans: Sequence[Scan],
    predictor: Predictor,
    out: Path,
    *,
    part: str | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Predict many scans; if one fails, its outcome holds the reason and the others go on.

    Args:
        scans: To be predicted.
        predictor: The models.
        out: Folder of the predictions.
        part: Lock only this part of the folder, while other processes write other parts.
        progress: Called with (done, all, failed) after each scan.

    Returns:
        An outcome for every scan, in order.

    Raises:
        OutputError: If the folder cannot be written to, or a case's folder would replace something
            else; nothing is predicted then.
    """
    require_free_places(scans, out)
    outcomes: list[Outcome] = []
    failed = 0
    with output_folder(out, PREDICTIONS, part=part):
        for scan in scans:
            outcomes.append(try_predict(scan, predictor, out))
            failed += outcomes[-1].result is None
            if progress:
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


def try_predict(scan: Scan, predictor: Predictor, out: Path) -> Outcome:
    """Predict one scan; any error becomes the reason in its outcome."""
    try:
        return Outcome(scan.case_id, predictor.predict(scan, out))
    except PlggError as error:
        return Outcome(scan.case_id, None, str(error))
    except Exception as error:  # the one guard around a case of a batch
        log.exception("case %s failed unexpectedly", scan.case_id)
        return Outcome(scan.case_id, None, f"unexpected {type(error).__name__}: {error}")
