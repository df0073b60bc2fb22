"""Fitting a peer with all its settings, and choosing among them."""

import importlib
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from _completion_cases import Case, Floats, Training

Setting = Mapping[str, Any]
# What a clock on the wall says, and what all threads together have worked.
SECONDS = ("seconds", "cpu_seconds")
# Time is what a fit was cut off by, iterations what it may take at most.
Stopped = Literal["converged", "iterations", "time"]


@dataclass(frozen=True, eq=False)
class Fit:
    """Predictions of the whole tensor, and why there was no further step."""

    tensor: Floats
    stopped: Stopped


@dataclass(frozen=True)
class Peer:
    """A method to compare with.

    Attributes
    ----------
    fit
        From training entries, a setting and the seconds it may take.
    settings
        All that are tried on a tensor; none where the method is hopeless.
    package
        The module that is to be imported; None for what is written here.
    is_cp
        Whether its best fit is one of those that ratios are taken to.
    """

    name: str
    fit: Callable[[Training, Setting, float], Fit]
    settings: Callable[[Training], list[Setting]]
    package: str | None = None
    is_cp: bool = False


class Clock:
    """Says when the time of a fit is over.

    Processor time, so that nothing is cut off because a machine is busy; with more than
    one thread it goes as many times faster.
    """

    def __init__(self, seconds: float):
        self._end = time.process_time() + seconds

    def over(self) -> bool:
        return time.process_time() > self._end


def search(case: Case, peer: Peer, *, fit_seconds: float) -> dict[str, Any]:
    """Fit with every setting; what was picked by held-out error, and what was best.

    A fit that raises, or predicts what is not finite, is in the record as a failure.
    """
    if peer.package:
        # Before any fit, so that none is timed with it.
        try:
            importlib.import_module(peer.package)
        except ImportError as error:
            return {"failure": f"cannot be imported: {error}", "fits": []}
    training = case.training()
    settings = peer.settings(training)
    if not settings:
        return {"failure": "no setting is feasible for this size", "fits": []}
    fits = [
        _measured(case, training, peer, setting, fit_seconds) for setting in settings
    ]
    return record_of(fits)


def record_of(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """What is kept of a peer's fits to a case."""
    sound = [fit for fit in fits if fit["failure"] is None]
    totals = {key: sum(fit[key] for fit in fits) for key in SECONDS}
    if not sound:
        failure = f"all fits failed, the first by {fits[0]['failure']}"
        return {"failure": failure, **totals, "fits": fits}
    return {
        "failure": None,
        "picked": min(sound, key=lambda fit: fit["held_out_error"]),
        "oracle": min(sound, key=lambda fit: fit["test_error"]),
        **totals,
        "fits": fits,
    }


def _measured(
    case: Case, training: Training, peer: Peer, setting: Setting, fit_seconds: float
) -> dict[str, Any]:
    with recorded() as outcome:
        with _quiet():
            fit = peer.fit(training, setting, fit_seconds)
        outcome.update(errors(case, *_at(case, fit.tensor)), stopped=fit.stopped)
    return {"setting": dict(setting), **outcome}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings and logs: what matters of them is in the record."""
    logging.disable(logging.WARNING)  # pyttb logs how arrays lie, at each gradient
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def recorded() -> Iterator[dict[str, Any]]:
    """Gives a dictionary to fill; how long the block took and why it failed are added.

    Whatever a method raises, the others still have their turn.
    """
    outcome: dict[str, Any] = {"failure": None}
    began = time.perf_counter(), time.process_time()
    try:
        yield outcome
    except Exception as error:
        outcome["failure"] = f"{type(error).__name__}: {error}"[:300]
    ended = time.perf_counter(), time.process_time()
    for key, start, end in zip(SECONDS, began, ended, strict=True):
        outcome.setdefault(key, end - start)


def _at(case: Case, tensor: Floats) -> tuple[Floats, Floats]:
    flat = tensor.reshape(-1)
    return flat[case.test], flat[case.held_out]


def errors(case: Case, at_test: Floats, at_held_out: Floats) -> dict[str, float]:
    """Both relative errors; predictions that are not finite are refused."""
    if not (np.isfinite(at_test).all() and np.isfinite(at_held_out).all()):
        raise FloatingPointError("predictions are not finite")
    return {
        "held_out_error": case.error(at_held_out, case.held_out),
        "test_error": case.error(at_test, case.test),
    }
