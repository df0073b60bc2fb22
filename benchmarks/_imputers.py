"""scikit-learn's imputers, on matrices that a tensor unfolds to.

Along each mode in two ways: a sample is a slice, with an entry a feature, or a fiber,
with an index of the mode a feature.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np

from _completion_cases import Floats, Training
from _completion_search import Fit, Peer, Setting

NEIGHBOURS = (3, 10, 30)
# Distances are taken between all samples, over all features.
_MOST_DISTANCE_TERMS = 5e9
_MOST_SAMPLES = 5000
# A regression a feature, on all others: of thousands it takes hours.
_MOST_REGRESSED = 200
_ALL_REGRESSORS = 64
_NEAREST_FEATURES = 20
_MOST_REGRESSIONS_ENTRIES = 5e5


class CutOffError(Exception):
    """The time of a fit was over before it had anything to show."""


def _matrices(training: Training) -> list[tuple[Setting, int, int]]:
    """How to unfold, and how many samples and features that gives."""
    dims, size = training.mask.shape, training.mask.size
    found: list[tuple[Setting, int, int]] = []
    for mode, dim in enumerate(dims):
        found += [
            ({"mode": mode, "samples": "slices"}, dim, size // dim),
            ({"mode": mode, "samples": "fibers"}, size // dim, dim),
        ]
    return found


def _mean_settings(training: Training) -> list[Setting]:
    return [
        {**how, "strategy": strategy}
        for (how, _, _), strategy in product(_matrices(training), ("mean", "median"))
    ]


def _neighbour_settings(training: Training) -> list[Setting]:
    return [
        {**how, "neighbours": neighbours}
        for (how, samples, features), neighbours in product(
            _matrices(training), NEIGHBOURS
        )
        if samples**2 * features <= _MOST_DISTANCE_TERMS
        and neighbours < samples <= _MOST_SAMPLES
    ]


def _iterative_settings(training: Training) -> list[Setting]:
    return [
        how
        for how, samples, features in _matrices(training)
        if 1 < features <= min(_MOST_REGRESSED, samples)
        and samples * features <= _MOST_REGRESSIONS_ENTRIES
    ]


def _fit_mean(training: Training, setting: Setting, seconds: float) -> Fit:
    from sklearn.impute import SimpleImputer

    imputer = SimpleImputer(strategy=setting["strategy"], keep_empty_features=True)
    return _imputed(training, setting, imputer, seconds)


def _fit_neighbours(training: Training, setting: Setting, seconds: float) -> Fit:
    from sklearn.impute import KNNImputer

    imputer = KNNImputer(
        n_neighbors=setting["neighbours"], weights="distance", keep_empty_features=True
    )
    return _imputed(training, setting, imputer, seconds)


def _fit_iterative(training: Training, setting: Setting, seconds: float) -> Fit:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    dim = training.mask.shape[setting["mode"]]
    features = dim if setting["samples"] == "fibers" else training.mask.size // dim
    imputer = IterativeImputer(
        n_nearest_features=None if features <= _ALL_REGRESSORS else _NEAREST_FEATURES,
        random_state=training.seed,
        keep_empty_features=True,
    )
    return _imputed(training, setting, imputer, seconds)


def _imputed(training: Training, setting: Setting, imputer: Any, seconds: float) -> Fit:
    mode = setting["mode"]
    known = np.where(training.mask, training.values, np.nan)
    moved = np.moveaxis(known, mode, 0)
    unfolded = moved.reshape(len(moved), -1)
    if setting["samples"] == "fibers":
        unfolded = unfolded.T
    with _deadline(seconds):
        filled: Floats = imputer.fit_transform(unfolded)
    if setting["samples"] == "fibers":
        filled = filled.T
    return Fit(np.moveaxis(filled.reshape(moved.shape), 0, mode), "converged")


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise when time is over; an imputer cannot be asked to stop.

    Where there is no such signal (Windows, other threads) it takes what it takes.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or not hasattr(signal, "SIGPROF"):
        yield
        return

    def over(signum: int, frame: Any) -> None:
        raise CutOffError(f"cut off after {seconds:g} s with nothing to show")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


MEAN = Peer("mean", _fit_mean, _mean_settings, "sklearn.impute")
NEIGHBOUR = Peer("k-NN", _fit_neighbours, _neighbour_settings, "sklearn.impute")
ITERATIVE = Peer("iterative", _fit_iterative, _iterative_settings, "sklearn.impute")
