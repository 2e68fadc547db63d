"""The bootstrap over patients one resample at a time: what the fast one must agree with."""

import numpy as np

from plgg.core.estimate import Estimate

N_RESAMPLES = 2000


def patient_interval(statistic, patients, rng, *, n_resamples=N_RESAMPLES):
    """A statistic of case indices and its 95 % percentile interval over resampled patients."""
    n = len(patients)
    value = statistic(np.arange(n)) if n else None
    groups = {}
    for index, patient in enumerate(patients):
        groups.setdefault(patient, []).append(index)
    members = [np.array(group) for group in groups.values()]
    if value is None or len(members) < 2:
        return Estimate(value, n=n)
    drawn = []
    for _ in range(n_resamples):
        chosen = rng.integers(len(members), size=len(members))
        drawn.append(statistic(np.concatenate([members[i] for i in chosen])))
    known = [found for found in drawn if found is not None]
    n_undefined = n_resamples - len(known)
    if len(known) < n_resamples / 2:
        return Estimate(value, n=n, n_undefined=n_undefined)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n, n_undefined=n_undefined)
