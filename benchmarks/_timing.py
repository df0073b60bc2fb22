"""Times of several things on one machine, taken so that their ratios mean something."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rankrise._environment import environment, usable_cores

# OpenBLAS's threads keep a core busy for some 30 ms after a product, waiting for the
# next; without a pause the case that follows would be timed on the cores left over.
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Case:
    """Something that takes steps.

    Attributes
    ----------
    seconds
        Takes so many steps and says how long that took, without compiling.
    runs
        How many runs take each step together; times are divided by it.
    """

    seconds: Callable[[int], float]
    runs: int = 1


@dataclass(frozen=True)
class Timing:
    """Seconds a step of one run, repeat by repeat."""

    samples: tuple[float, ...]
    steps: int

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def fastest(self) -> float:
        return min(self.samples)


def clocked(take_steps: Callable[[int], object]) -> Callable[[int], float]:
    """A case's `seconds` for a function that returns when its steps are done."""

    def seconds(steps: int) -> float:
        began = time.perf_counter()
        take_steps(steps)
        return time.perf_counter() - began

    return seconds


def interleaved(
    cases: Mapping[str, Case], *, repeats: int, seconds: float
) -> dict[str, Timing]:
    """Time every case `repeats` times, in rounds of all cases.

    What else the machine does changes from second to second. A round is short beside
    that, so a ratio within a round is fair, and the median over rounds is steady.
    Samples take about `seconds` each.
    """
    steps = {name: _steps(case, seconds) for name, case in cases.items()}
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            time.sleep(_PAUSE_SECONDS)
            case.seconds(1)  # fills the caches that the case before it used
            taken = case.seconds(steps[name])
            samples[name].append(taken / steps[name] / case.runs)
    return {name: Timing(tuple(samples[name]), steps[name]) for name in cases}


def ratio(slow: Timing, fast: Timing) -> float:
    """How many times longer the first takes: the median over rounds."""
    pairs = zip(slow.samples, fast.samples, strict=True)
    return statistics.median(a / b for a, b in pairs)


def _steps(case: Case, seconds: float) -> int:
    case.seconds(1)  # compiles
    steps = 1
    while (taken := case.seconds(steps)) < seconds / 2:
        steps = min(8 * steps, max(steps + 1, round(steps * seconds / taken)))
    return steps


def surroundings() -> dict[str, Any]:
    """Versions, cores and threads that a result was measured with."""
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return environment() | {"cores": usable_cores(), "threads": threads}
