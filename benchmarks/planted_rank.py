"""How often the planted CP rank is told by `estimate_rank`, and by peers.

Tensors and matrices of ranks 1 to 6 are drawn by seeds, with noise, gaps and at least
ten observations for each free number. Peers take as many components as have the
smallest error on a held-out tenth. A count of 0 leaves that part of OUT as it is.
"""

import argparse
import json
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.table import Table

import rankrise as rr
from _completion_search import search
from _cp_packages import TENSORLY
from _planted import KINDS, MATRICES, TENSORS, Planted
from _ridge_als import RIDGE_ALS
from _timing import surroundings
from rankrise._atomic import atomic_path
from rankrise.completion._model import match_scores
from rankrise.runs import Pool, ThisProcess
from rankrise.sweeps import open_pool

RESULTS = Path(__file__).with_name("planted_rank.json")
_MOST_COMPONENTS = 8
_FIT_SECONDS = 2.0
_DIGITS = 6
_WIDTH = 150
_COLUMNS = "heldout_error", "standard_error", "match", "core_consistency"
# With the settings that are searched beside the number of components.
PEERS = {
    RIDGE_ALS.name: (RIDGE_ALS, {"penalty": 0.01}),
    TENSORLY.name: (TENSORLY, {"init": "svd"}),
}

Record = Mapping[str, Any]


def told(planted: Planted) -> dict[str, Any]:
    """What `estimate_rank` tells of a tensor, beside what was planted."""
    began = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = rr.estimate_rank(planted.tensor)
    seconds = time.process_time() - began
    match = None
    if found.rank == planted.rank and len(planted.mode_dims) > 2:
        match = float(np.min(match_scores(planted.observed_factors, found.factors)))
    return {
        **planted.settings(),
        "rank": found.rank,
        "needed": found.needed,
        "told_offset": found.offset,
        "match": match,
        "cpu_seconds": seconds,
        "table": {key: [getattr(row, key) for row in found.rows] for key in _COLUMNS},
        "warnings": [str(each.message) for each in caught],
    }


def told_by_peers(
    planted: Planted,
    *,
    most: int = _MOST_COMPONENTS,
    fit_seconds: float = _FIT_SECONDS,
) -> dict[str, Any]:
    """How many components peers pick, and the held-out errors they pick by."""
    found: dict[str, Any] = {"seed": planted.seed}
    case = planted.case()
    for name, (peer, rest) in PEERS.items():
        settings = [{"components": r, **rest} for r in range(1, most + 1)]
        own = replace(peer, settings=lambda _, settings=settings: settings)
        record = search(case, own, fit_seconds=fit_seconds)
        sound = not record["failure"]
        found[name] = {
            "failure": record["failure"],
            "rank": record["picked"]["setting"]["components"] if sound else None,
            "heldout_errors": [fit.get("held_out_error") for fit in record["fits"]],
            "cut_off": sum(fit.get("stopped") == "time" for fit in record["fits"]),
            "cpu_seconds": record.get("cpu_seconds"),
        }
    return found


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Shares told right, matches where they are, and processor seconds."""
    seconds = [each["cpu_seconds"] for each in records]
    orders = sorted({len(each["mode_dims"]) for each in records})
    groups: dict[str, Callable[[Record], bool]] = {
        "all": lambda each: True,
        **{kind: lambda each, kind=kind: each["kind"] == kind for kind in KINDS},
        "no offset": lambda each: not each["offset"],
        "offset": lambda each: bool(each["offset"]),
        **{
            f"order {order}": lambda each, order=order: len(each["mode_dims"]) == order
            for order in orders
        },
        **{
            f"rank {rank}": lambda each, rank=rank: each["planted"] == rank
            for rank in sorted({each["planted"] for each in records})
        },
    }
    return {
        "groups": {
            name: _group([each for each in records if holds(each)])
            for name, holds in groups.items()
        },
        "cpu_seconds_median": statistics.median(seconds),
        "cpu_seconds_largest": max(seconds),
        "above_mode_dims": sum(
            each["rank"] > min(each["mode_dims"]) for each in records
        ),
        "failures": [each["seed"] for each in records if not _is_right(each)],
    }


def _is_right(record: Record) -> bool:
    return bool(record["rank"] == record["planted"])


def _group(records: Sequence[Record]) -> dict[str, Any]:
    right = [each for each in records if _is_right(each)]
    matches = [each["match"] for each in right if each["match"] is not None]
    return {
        "drawn": len(records),
        "right": len(right),
        "match_least": min(matches, default=None),
        "match_5_percent": float(np.quantile(matches, 0.05)) if matches else None,
    }


def peer_summary(peers: Sequence[Record], records: Sequence[Record]) -> dict[str, Any]:
    """Right among the same tensors; an offset may also be a peer's own component."""
    by_seed = {each["seed"]: each for each in records}
    peers = [each for each in peers if each["seed"] in by_seed]
    same = [by_seed[each["seed"]] for each in peers]
    found = {"estimate_rank": _counts(same, same)}
    for name in PEERS:
        found[name] = _counts([each[name] for each in peers], same)
    return found


def _counts(answers: Sequence[Record], records: Sequence[Record]) -> dict[str, Any]:
    pairs = list(zip(answers, records, strict=True))
    seconds = [each["cpu_seconds"] for each in answers if each["cpu_seconds"]]

    def right(wanted: Iterable[tuple[Record, Record]], spare: int = 0) -> int:
        return sum(
            each["rank"] is not None and 0 <= each["rank"] - record["planted"] <= spare
            for each, record in wanted
        )

    plain = [pair for pair in pairs if not pair[1]["offset"]]
    lifted = [pair for pair in pairs if pair[1]["offset"]]
    return {
        "drawn": len(pairs),
        "right": right(pairs),
        "no_offset_drawn": len(plain),
        "no_offset_right": right(plain),
        "right_or_offset_as_component": right(plain) + right(lifted, spare=1),
        "cpu_seconds_median": statistics.median(seconds) if seconds else None,
    }


def tables(results: Mapping[str, Any]) -> list[RenderableType]:
    """The results for people to read."""
    found: list[RenderableType] = []
    for part in ("tensors", "matrices"):
        if results.get(part):
            found += _part_tables(part, results[part], results["summary"][part])
    if results.get("peers"):
        found.append(_peer_table(results["summary"]["peers"]))
    return found


def _part_tables(
    part: str, records: Sequence[Record], summed: Mapping[str, Any]
) -> list[RenderableType]:
    table = Table(
        title=f"{part}: processor seconds {summed['cpu_seconds_median']:.2f} (median), "
        f"{summed['cpu_seconds_largest']:.1f} (largest)"
    )
    table.add_column("which")
    for heading in ("right", "drawn", "%", "least match", "5th percentile"):
        table.add_column(heading, justify="right")
    for name, row in summed["groups"].items():
        if not row["drawn"]:
            continue
        matches = (_number(row[key]) for key in ("match_least", "match_5_percent"))
        share = f"{100 * row['right'] / row['drawn']:.0f}"
        table.add_row(name, str(row["right"]), str(row["drawn"]), share, *matches)
    failures = Table(title=f"{part} of which another rank was told")
    for heading in ("seed", "size", "rank", "told", "needed", "kind", "offset"):
        failures.add_column(heading, justify="right")
    for heading in ("noise", "missing", "observed / parameter"):
        failures.add_column(heading, justify="right")
    for each in records:
        if not _is_right(each):
            failures.add_row(
                str(each["seed"]),
                "x".join(map(str, each["mode_dims"])),
                *(str(each[key]) for key in ("planted", "rank", "needed", "kind")),
                *(_number(each[key]) for key in ("offset", "noise", "missing")),
                _number(each["a_parameter"]),
            )
    return [table, failures]


def _peer_table(summed: Mapping[str, Any]) -> Table:
    table = Table(title="The same tensors, by peers")
    table.add_column("method")
    for heading in (
        *("right", "drawn", "right, no offset", "drawn, no offset"),
        *("right, or the offset a component", "CPU s (median)"),
    ):
        table.add_column(heading, justify="right")
    keys = "right", "drawn", "no_offset_right", "no_offset_drawn"
    for name, row in summed.items():
        counts = (*keys, "right_or_offset_as_component")
        seconds = _number(row["cpu_seconds_median"])
        table.add_row(name, *(str(row[key]) for key in counts), seconds)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _rounded(content: Any) -> Any:
    """For strict JSON: few digits, and None where a number is not finite."""
    if isinstance(content, Mapping):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_rounded(value) for value in content]
    if isinstance(content, float):
        return float(f"{content:.{_DIGITS}g}") if math.isfinite(content) else None
    return content


def _write(path: Path, results: Mapping[str, Any]) -> None:
    """A record a line."""
    parts = []
    for key, value in _rounded(results).items():
        if isinstance(value, list):
            lines = ",\n".join(f"  {json.dumps(each)}" for each in value)
            parts.append(f"{json.dumps(key)}: [\n{lines}\n]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value, indent=1)}")
    with atomic_path(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def run(
    results: dict[str, Any],
    tasks: Mapping[str, Callable[[int], dict[str, Any]]],
    counts: Mapping[str, int],
    *,
    seed: int,
    done: Callable[[], None],
    pool: Pool | None = None,
) -> None:
    """Do what there is to do, and after each draw say that it is done."""
    pool = pool or ThisProcess()
    for part, task in tasks.items():
        if not counts[part]:
            continue
        found: dict[int, dict[str, Any]] = {}
        draws = [(number,) for number in range(seed, seed + counts[part])]
        for each in pool.each(task, draws):
            if each.error is not None:
                raise each.error
            found[each.place] = each.value
            results[part] = [found[place] for place in sorted(found)]
            done()


def summarize(results: dict[str, Any]) -> None:
    """Sum up every part that is there."""
    parts = [part for part in ("tensors", "matrices") if results.get(part)]
    results["summary"] = {part: summary(results[part]) for part in parts}
    if results.get("peers"):
        summed = peer_summary(results["peers"], results["tensors"])
        results["summary"]["peers"] = summed


TASKS: dict[str, Callable[[int], dict[str, Any]]] = {
    "tensors": lambda seed: told(TENSORS.draw(seed)),
    "matrices": lambda seed: told(MATRICES.draw(seed)),
    "peers": lambda seed: told_by_peers(TENSORS.draw(seed)),
}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="results (JSON)")
    parser.add_argument("--tensors", type=int, default=100, metavar="N")
    parser.add_argument("--matrices", type=int, default=100, metavar="N")
    parser.add_argument(
        "--peers", type=int, default=0, metavar="N",
        help="peers too, on the first N tensors",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1000, help="the first one")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="of Dask, or local, for workers of this machine",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N", help="how many to start")
    return parser.parse_args(arguments)


@contextmanager
def _pool(options: argparse.Namespace) -> Iterator[Pool]:
    """Workers that are asked for; those elsewhere need this folder in PYTHONPATH."""
    if options.scheduler is None and options.workers is None:
        yield ThisProcess()
        return
    with open_pool(options.scheduler or "local", workers=options.workers) as pool:
        yield pool


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw and tell, write after each draw, print."""
    options = _options(arguments)
    console = Console()
    console.width = max(console.width, _WIDTH)
    results: dict[str, Any] = {"environment": {}, "summary": {}}
    if options.out.exists():
        results = json.loads(options.out.read_text(encoding="utf-8"))
    results["environment"] = surroundings()
    counts = {part: getattr(options, part) for part in TASKS}
    if counts["peers"] > (counts["tensors"] or len(results.get("tensors", []))):
        raise SystemExit("Peers are compared on tensors; ask for at least as many.")
    # Compiles and loads, which is no time of the first tensor.
    rr.estimate_rank(TENSORS.draw(0).tensor, max_components=1)
    with console.status("telling ranks ...") as status:

        def done() -> None:
            lengths = (f"{len(results.get(part, []))} {part}" for part in TASKS)
            status.update(f"telling ranks: {', '.join(lengths)}")
            summarize(results)
            _write(options.out, results)

        with _pool(options) as pool:
            run(results, TASKS, counts, seed=options.seed, done=done, pool=pool)
    console.print(*tables(results), sep="\n")
    console.print(f"wrote {os.path.relpath(options.out)}")


if __name__ == "__main__":
    main()
