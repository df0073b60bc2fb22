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
    """Says when the time of a fit is over."""

    def __init__(self, seconds: float):
        self._end = time.perf_counter() + seconds

    def over(self) -> bool:
        return time.perf_counter() > self._end


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
    seconds = sum(fit["seconds"] for fit in fits)
    if not sound:
        failure = f"all fits failed, the first by {fits[0]['failure']}"
        return {"failure": failure, "seconds": seconds, "fits": fits}
    return {
        "failure": None,
        "picked": min(sound, key=lambda fit: fit["held_out_error"]),
        "oracle": min(sound, key=lambda fit: fit["test_error"]),
        "seconds": seconds,
        "fits": fits,
    }


def _measured(
    case: Case, training: Training, peer: Peer, setting: Setting, fit_seconds: float
) -> dict[str, Any]:
    began = time.perf_counter()
    with _recorded() as outcome:
        with _quiet():
            fit = peer.fit(training, setting, fit_seconds)
        outcome["seconds"] = time.perf_counter() - began
        outcome.update(errors(case, *_at(case, fit.tensor)), stopped=fit.stopped)
    return {
        "setting": dict(setting),
        "seconds": time.perf_counter() - began,
        **outcome,
    }


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
def _recorded() -> Iterator[dict[str, Any]]:
    outcome: dict[str, Any] = {"failure": None}
    try:
        yield outcome
    except Exception as error:
        # Whatever a peer raises, the others still have their turn.
        outcome["failure"] = f"{type(error).__name__}: {error}"[:300]


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
