"""A sweep of small runs on workers, against the same sweep in one process.

Every process does a run of each shape first, so that compiled programs are loaded: what
is measured is throughput, start-up apart. Rounds of one process and of workers
alternate. On idle cores the ratio of clock times is what is gained. On a machine that
does other work it says little; there the processor seconds of one process, beside those
of the busiest process with workers, are what the clock would say with a core for each.

Made to be run by itself: `python benchmarks/sweep_workers.py`, which takes minutes.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rankrise as rr
from _timing import surroundings
from rankrise._cluster import open_client


@dataclass(frozen=True)
class Sizes:
    """How many runs there are, how long each is, and how often all are done."""

    seeds: int = 10
    steps: int = 4000
    mode_dim: int = 6
    components: int = 10
    workers: int = 2
    rounds: int = 3

    def sweep(self, seeds: Sequence[int]) -> rr.SweepSettings:
        """Twenty runs a seed: two orders, two ranks and five init scales."""
        base = {"mode_dim": self.mode_dim, "components": self.components}
        return rr.SweepSettings(
            command="dynamics",
            base={**base, "steps": self.steps, "saves": min(400, self.steps)},
            axes={
                "order": [3, 4],
                "target_rank": [1, 2],
                "init_scales": [0.05, 0.07, 0.1, 0.15, 0.2],
            },
            seeds=tuple(seeds),
        )


@dataclass(frozen=True)
class Usage:
    """Seconds of a sweep: by the clock, and of the processor in each process."""

    clock: float
    starting: float
    workers: tuple[float, ...] = ()

    @property
    def busiest(self) -> float:
        """Processor seconds of the busiest process."""
        return max(self.starting, *self.workers, 0.0)

    @property
    def processor(self) -> float:
        """Processor seconds of all processes."""
        return self.starting + sum(self.workers)


def run(sizes: Sizes) -> dict[str, Any]:
    """Both ways in turns; refused where they find something else."""
    ways: dict[str, list[Usage]] = {"one": [], "workers": []}
    settings = sizes.sweep(range(sizes.seeds))
    runs = len(settings.runs())
    with open_client("local", sizes.workers) as (client, _):
        _warm(sizes)
        client.run(_warm, sizes)
        for _ in range(sizes.rounds):
            one, alone = _timed(settings, None)
            several, found = _timed(settings, client)
            if not found.drop(columns="seconds").equals(alone.drop(columns="seconds")):
                raise AssertionError("Workers found something else than one process.")
            ways["one"].append(one)
            ways["workers"].append(several)
    return {
        "sizes": asdict(sizes),
        "runs": runs,
        **figures(ways["one"], ways["workers"], runs),
        "rounds": {name: [asdict(u) for u in each] for name, each in ways.items()},
        **surroundings(),
    }


def figures(
    one: Sequence[Usage], several: Sequence[Usage], runs: int
) -> dict[str, float]:
    """Medians over rounds."""

    def median(values: Any) -> float:
        return statistics.median(values)

    pairs = list(zip(one, several, strict=True))
    return {
        "seconds_a_run": median(u.processor / runs for u in one),
        "ratio_clock": median(a.clock / b.clock for a, b in pairs),
        "ratio_busiest": median(a.processor / b.busiest for a, b in pairs),
        # What workers take beyond one process that does all.
        "overhead_a_run_workers": median(
            (sum(b.workers) - a.processor) / runs for a, b in pairs
        ),
        "overhead_a_run_starting": median(b.starting / runs for b in several),
    }


def _timed(settings: rr.SweepSettings, client: Any) -> tuple[Usage, Any]:
    with tempfile.TemporaryDirectory() as folder:
        before = _seconds_of(client)
        began, own = time.monotonic(), time.process_time()
        if client is None:
            found = rr.sweep(settings, folder, workers=0)
        else:
            found = rr.sweep(settings, folder, scheduler=client)
        clock, own = time.monotonic() - began, time.process_time() - own
        after = _seconds_of(client)
    taken = tuple(after[name] - before[name] for name in after)
    return Usage(clock, own, taken), found.table


def _seconds_of(client: Any) -> Mapping[str, float]:
    return {} if client is None else client.run(time.process_time)


def _warm(sizes: Sizes) -> None:
    """Compile what runs of all shapes need, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        # Seeds of no run that is timed.
        rr.sweep(sizes.sweep([10_000]), folder, workers=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found."""
    sizes = Sizes()
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(sizes).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    parser.add_argument("--out", type=Path, help="a JSON file for all of it")
    given = vars(parser.parse_args(arguments))
    out = given.pop("out")
    result = run(Sizes(**given))
    if out is not None:
        out.write_text(json.dumps(result, indent=1) + "\n")
    print(
        f"{result['runs']} runs of {1e3 * result['seconds_a_run']:.1f} ms of the "
        f"processor each\n{given['workers']} workers against one process: "
        f"{result['ratio_clock']:.2f} times the throughput by the clock, "
        f"{result['ratio_busiest']:.2f} by the busiest process\n"
        f"overhead of a run: {1e3 * result['overhead_a_run_workers']:.1f} ms in "
        f"workers, {1e3 * result['overhead_a_run_starting']:.1f} ms in the process "
        "that starts them"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
