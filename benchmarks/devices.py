"""What a step of gradient descent takes on several devices, against one.

Four million observed entries of a 500 x 500 x 500 tensor, 20 components, entry by entry
from the rows of the factor matrices. The CPU is divided in virtual devices. XLA lets
one device use all cores, so all threads are held on one core where there is one device,
and on as many cores as devices where there are several: a device is then a core. Rounds
on one and on several alternate. On idle cores the ratio of clock times is what is
gained. On a machine that does other work it says little; there the busiest thread's
processor time, beside all that one device takes, is what a step would take with the
cores to itself.

Run by itself, on Linux: `python benchmarks/devices.py`, which takes some minutes.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from _timing import surroundings

_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@dataclass(frozen=True)
class Sizes:
    """How large the problem is, and how long is measured."""

    mode_dims: tuple[int, ...] = (500, 500, 500)
    observations: int = 4_000_000
    components: int = 20
    devices: int = 2
    steps: int = 3
    rounds: int = 3


@dataclass(frozen=True)
class Usage:
    """Seconds a step, by the clock, of all threads, and of the busiest thread."""

    clock: float
    processor: float
    busiest: float

    @classmethod
    def between(cls, seen: Sequence[tuple[int, float, dict[str, float]]]) -> "Usage":
        """From the first to the last of what was seen between chunks of steps."""
        processor = busiest = 0.0
        for (_, _, before), (_, _, after) in itertools.pairwise(seen):
            used = [each - before.get(name, 0.0) for name, each in after.items()]
            processor, busiest = processor + sum(used), busiest + max(used)
        steps = seen[-1][0] - seen[0][0]
        clock = seen[-1][1] - seen[0][1]
        return cls(clock / steps, processor / steps, busiest / steps)


def run(sizes: Sizes) -> dict[str, Any]:
    """Steps of both in turns, from one start; refused where they part."""
    import jax
    import numpy as np

    import rankrise as rr

    with jax.enable_x64(False):
        problem = _problem(sizes)
        start = rr.factorizations.near_zero(
            sizes.mode_dims, sizes.components, init_scale=0.1, key=jax.random.key(0)
        )
        norms = next(
            each
            for each in rr.trajectories.standard_observables(problem, start)
            if each.name == "component_norms"
        )
        recording = rr.trajectories.Recording(
            observables=(norms,), save_at=rr.trajectories.SaveAt.linear(1)
        )

        def steps(devices: int) -> tuple[Usage, Any]:
            _hold(devices)
            seen: list[tuple[int, float, dict[str, float]]] = []
            found = rr.solve(
                problem,
                start,
                rr.AdaptiveGradientDescent(),
                max_steps=1 + sizes.steps,
                recording=recording,
                devices=devices,
                progress=lambda now: seen.append(
                    (now.step, time.perf_counter(), _processor_seconds())
                ),
            )
            return Usage.between(seen), np.asarray(found.component_norms[-1])

        first, other = steps(1)[1], steps(sizes.devices)[1]  # compiles
        rounds = [(steps(1)[0], steps(sizes.devices)[0]) for _ in range(sizes.rounds)]
    apart = float(np.max(np.abs(other / first - 1)))
    if apart > 1e-5:
        raise RuntimeError(f"Component norms part by {apart:.1g} of their size.")
    return {
        "sizes": asdict(sizes),
        "norms_apart": apart,
        "a_step_on_one": [asdict(one) for one, _ in rounds],
        "a_step_on_several": [asdict(several) for _, several in rounds],
        "clock_ratio": _median(several.clock / one.clock for one, several in rounds),
        "processor_ratio": _median(
            several.processor / one.processor for one, several in rounds
        ),
        "busiest_thread_of_one": _median(
            several.busiest / one.processor for one, several in rounds
        ),
        "environment": surroundings(),
    }


def _median(ratios: Iterable[float]) -> float:
    """Of rounds that are neighbours, so that both had about the same of the machine."""
    return statistics.median(ratios)


def _hold(cores: int) -> None:
    """Keep all threads of this process on so many cores."""
    there = sorted(_CORES)[:cores]
    if len(there) < cores:
        raise RuntimeError(f"{cores} cores are needed, and there are {len(there)}.")
    for thread in os.listdir("/proc/self/task"):
        # One may have ended since.
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), there)


def _processor_seconds() -> dict[str, float]:
    """What every thread of this process has had of the processor."""
    found = {}
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/self/task/{thread}/schedstat").read_text()
            found[thread] = int(text.split()[0]) / 1e9
    return found


def _problem(sizes: Sizes) -> Any:
    """Random entries: what they are does not change how long a step takes."""
    import numpy as np

    import rankrise as rr

    rng = np.random.default_rng(0)
    entries = int(np.prod(sizes.mode_dims))
    places = rng.choice(entries, sizes.observations, replace=False, shuffle=False)
    indices = np.stack(np.unravel_index(places, sizes.mode_dims), axis=-1)
    return rr.CompletionProblem.from_observations(
        rr.Observations(
            indices.astype(np.int32), rng.normal(size=len(places)), sizes.mode_dims
        )
    )


def main() -> None:
    """Time the sizes of the command line, and print what was found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observations", type=int, default=Sizes.observations)
    parser.add_argument("--devices", type=int, default=Sizes.devices)
    parser.add_argument("--rounds", type=int, default=Sizes.rounds)
    given = parser.parse_args()
    os.environ["JAX_NUM_CPU_DEVICES"] = str(given.devices)
    print(json.dumps(run(Sizes(**vars(given))), indent=2))


if __name__ == "__main__":
    main()
