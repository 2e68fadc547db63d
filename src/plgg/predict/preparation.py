"""Preprocess the sequences of one patient into the input of the networks.

Slices as acquired need the brain mask only, not the registration to the atlas. So networks can run
on them while another process registers the scan (`plgg.preprocess.assessment_process`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plgg.config import Config
from plgg.core.errors import InputError
from plgg.core.progress import Clock
from plgg.core.volume import Volume
from plgg.data.quality import Quality
from plgg.data.scan import Scan
from plgg.preprocess.assessment_process import AssessmentProcess, AssessmentRequest, assess
from plgg.preprocess.brain_extraction import BrainExtraction, find_brain
from plgg.preprocess.gates.scan import GATES
from plgg.preprocess.normalise import NormalisedScan
from plgg.preprocess.pipeline import (
    EarlySlices,
    PreprocessedScan,
    ResamplingTarget,
    early_slices,
    preprocess_scan,
    require_plausible_extent,
    resample_scan,
)
from plgg.preprocess.registration.frame import view_of
from plgg.preprocess.setup import Route, route_for


@dataclass(frozen=True, eq=False)
class InferenceInput:
    """Network input of one scan, and the findings of its preprocessing.

    Attributes:
        prepared: The preprocessed scan.
        image: Codes of the model's channels, shape (C, I, J, K).
        sequences: Those channels that the patient has.
        quality: Verdicts; None for cases of stores that kept none.
        native: The native scan; None for cases of stores.
        chosen: For DICOM, which series was taken and why.
        doubts: Warnings about its header.
        age_years: As given, or from the DICOM header.
        sex: Likewise.
        sha256: Hash of the native scan's bytes; None where it is still to be computed.
    """

    prepared: NormalisedScan
    image: NDArray[np.int8]
    sequences: tuple[str, ...]
    quality: Quality | None
    native: Volume | None = None
    chosen: str | None = None
    doubts: tuple[str, ...] = ()
    age_years: float | None = None
    sex: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, eq=False)
class Preparation:
    """A preparation in progress, used like a future.

    Attributes:
        finish: Waits for the registration and returns the input.
        early: Input that is ready before the registration, without placement and verdicts. Its
            image is the same object as that of `finish`, unless the header's orientation turns
            out to be wrong. None where networks must wait.
    """

    finish: Callable[[], InferenceInput]
    early: InferenceInput | None = None


def prepare_scans(
    scans: Mapping[str, Scan],
    config: Config,
    *,
    age_years: float | None = None,
    sex: str | None = None,
) -> InferenceInput:
    """Preprocess the sequences of one patient with a model's settings.

    Args:
        scans: By sequence, the reference first; they have passed the check.
        config: The model's.
        age_years: Of the patient; by default from the scan's header.
        sex: Likewise.

    Raises:
        InputError: If there is no brain, or a gate refuses the scan.
    """
    return start_preparation(scans, config, age_years=age_years, sex=sex).finish()


def start_preparation(
    scans: Mapping[str, Scan],
    config: Config,
    *,
    age_years: float | None = None,
    sex: str | None = None,
    assessor: AssessmentProcess | None = None,
) -> Preparation:
    """Start `prepare_scans`, with the registration in another process if one is given.

    Args:
        scans: As there.
        config: As there.
        age_years: As there.
        sex: As there.
        assessor: The process for the registration; without one `finish` does all the work here.

    Raises:
        InputError: If there is no brain, or the scan is larger than any head.
    """
    patient = _Patient(scans, config, age_years, sex)
    require_plausible_extent(patient.scan.volume)
    return patient.prepare_in_parallel(assessor) if assessor else Preparation(patient.prepare_here)


@dataclass(frozen=True)
class _Patient:
    """One patient's sequences, the reference first, with age and sex as given."""

    scans: Mapping[str, Scan]
    config: Config
    age_years: float | None
    sex: str | None

    @property
    def reference(self) -> str:
        return next(iter(self.scans))

    @property
    def scan(self) -> Scan:
        return self.scans[self.reference]

    @property
    def others(self) -> dict[str, Volume]:
        return {name: one.volume for name, one in self.scans.items() if name != self.reference}

    @property
    def age(self) -> float | None:
        return self.scan.age_years if self.age_years is None else self.age_years

    def prepare_here(self) -> InferenceInput:
        """Preprocess in this process; a thread loads the atlas during skull stripping."""
        clock = Clock()
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(_ready_route, self.config)
            stripped = self._brain(clock)
            route = coming.result()
        preprocessed = preprocess_scan(
            self.scan.volume,
            None,
            replace(route, sequence=self.reference),
            age_years=self.age,
            others=self.others,
            stripped=stripped,
            clock=clock,
        )
        return self._inference_input_of(preprocessed)

    def prepare_in_parallel(self, assessor: AssessmentProcess) -> Preparation:
        """Register in another process, and resample slices as acquired without waiting."""
        clock, target = Clock(), ResamplingTarget(self.config.grid, self.config.preprocess.n4)
        request = self._request(self._brain(clock))
        assessor.submit(request)
        early = self._early(request.stripped, target, clock)
        shown = self._inference_input(early.prepared, (self.reference,), None) if early else None

        def finish() -> InferenceInput:
            reply = assessor.result() or assess(request)
            clock.add(reply.seconds)
            preprocessed = resample_scan(
                request.scan,
                None,
                reply.assessment,
                target,
                atlas=reply.atlas,
                others=self.others,
                clock=clock,
                early=early,
            )
            if early and shown and preprocessed.prepared.image is early.prepared.image:
                quality = preprocessed.quality
                return replace(shown, prepared=preprocessed.prepared, quality=quality)
            return self._inference_input_of(preprocessed)

        return Preparation(finish, shown)

    def _brain(self, clock: Clock) -> BrainExtraction:
        with clock.step("brain"):
            return find_brain(self.scan.volume, self.config.preprocess.stripping)

    def _request(self, stripped: BrainExtraction) -> AssessmentRequest:
        gates = frozenset(GATES.load_all())
        return AssessmentRequest(
            self.scan.volume, self.config, self.reference, self.age, stripped, gates=gates
        )

    def _early(
        self, stripped: BrainExtraction, target: ResamplingTarget, clock: Clock
    ) -> EarlySlices | None:
        """Slices as acquired; None for other grids or several sequences, or where they fail."""
        if target.grid.kind != "slices" or self.others:
            return None
        # An error is ignored here: the gates or the full preprocessing will report it.
        with suppress(InputError), clock.step("resampling"):
            return early_slices(self.scan.volume, stripped.brain, target)
        return None

    def _inference_input_of(self, found: PreprocessedScan) -> InferenceInput:
        return self._inference_input(
            found.prepared, (self.reference, *found.reference_from), found.quality
        )

    def _inference_input(
        self, prepared: NormalisedScan, sequences: tuple[str, ...], quality: Quality | None
    ) -> InferenceInput:
        return InferenceInput(
            prepared,
            prepared.stack_channels(self.config.channels, self.reference),
            sequences,
            quality,
            native=self.scan.volume,
            chosen=self.scan.chosen,
            doubts=tuple(doubt for one in self.scans.values() for doubt in one.doubts),
            age_years=self.age,
            sex=self.sex or self.scan.sex,
        )


def _ready_route(config: Config) -> Route:
    route = route_for(config)
    if config.preprocess.registration != "centre":
        view_of(route.atlas)
    return route
