"""What the comparison found, for people to read."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from _completion_peers import PEERS
from _completion_rankrise import NAME, OLD
from _completion_search import SECONDS
from _ridge_als import RIDGE_ALS

Record = dict[str, Any]
# Records of a case, split by split and peer by peer.
Splits = dict[str, dict[str, Record]]


def tables(results: dict[str, Any]) -> list[RenderableType]:
    """Beside an older rankrise; errors beside the best CP; seconds; failures."""
    cases: dict[str, Splits] = results["cases"]
    found = {
        name for splits in cases.values() for each in splits.values() for name in each
    }
    old = sorted(name for name in found if name.startswith(OLD))
    peers = [name for name in (*PEERS, *old, NAME) if name in found]
    return [
        *(each for name in old for each in _beside_old(cases, name)),
        _error_table(cases, peers),
        *(_second_table(cases, peers, key) for key in SECONDS),
        *_failures(cases),
    ]


def best_cp(split: dict[str, Record]) -> Record | None:
    """The fit with the least test error of all CP fits: what hindsight would choose."""
    fits = [
        record["oracle"] | {"peer": name}
        for name, record in split.items()
        if name in PEERS and PEERS[name].is_cp and record["failure"] is None
    ]
    return min(fits, key=lambda fit: fit["test_error"], default=None)


def ratio(splits: Splits, peer: str, which: str) -> float | None:
    """Test error over that of the best CP, the geometric mean over splits."""
    ratios = []
    for split in splits.values():
        best = best_cp(split)
        if peer not in split or split[peer]["failure"] or best is None:
            return None
        ratios.append(split[peer][which]["test_error"] / best["test_error"])
    return _geometric_mean(ratios)


def _error_table(cases: dict[str, Splits], peers: Sequence[str]) -> Table:
    table = Table(
        title="Test errors, times that of the best CP (of all fits, by test error): "
        "picked by held-out error / best of the peer's settings"
    )
    table.add_column("case", no_wrap=True)
    table.add_column("best CP", justify="right")
    for peer in peers:
        table.add_column(peer, justify="right")
    for case, splits in cases.items():
        cells = [_pair(splits, peer) for peer in peers]
        table.add_row(case, _best_cell(splits), *cells)
    table.add_section()
    means = [_mean_cell(cases, peer) for peer in peers]
    table.add_row("geometric mean", "", *means)
    return table


def _pair(splits: Splits, peer: str) -> str:
    picked, best = (ratio(splits, peer, which) for which in ("picked", "oracle"))
    if picked is None or best is None:
        return "-"
    return f"{picked:.3g} / {best:.3g}"


def _best_cell(splits: Splits) -> str:
    best = [each for each in map(best_cp, splits.values()) if each is not None]
    if not best:
        return "-"
    error = _geometric_mean([each["test_error"] for each in best])
    chosen = sorted({f"{each['setting']['components']}" for each in best}, key=int)
    return f"{error:.4f} (R={','.join(chosen)})"


def _mean_cell(cases: dict[str, Splits], peer: str) -> str:
    def over_cases(which: str) -> list[float]:
        ratios = [ratio(splits, peer, which) for splits in cases.values()]
        return [each for each in ratios if each is not None]

    picked, best = over_cases("picked"), over_cases("oracle")
    if not picked:
        return "-"
    missing = "" if len(picked) == len(cases) else f" ({len(picked)} cases)"
    return f"{_geometric_mean(picked):.3g} / {_geometric_mean(best):.3g}{missing}"


def _second_table(cases: dict[str, Splits], peers: Sequence[str], key: str) -> Table:
    unit = {"seconds": "Seconds", "cpu_seconds": "Seconds of processor time"}[key]
    table = Table(
        title=f"{unit}: the picked fit / all fits of the selection "
        "(* where the picked fit was cut off)"
    )
    table.add_column("case", no_wrap=True)
    for peer in peers:
        table.add_column(peer, justify="right")
    for case, splits in cases.items():
        table.add_row(case, *(_second_cell(splits, peer, key) for peer in peers))
    return table


def _second_cell(splits: Splits, peer: str, key: str) -> str:
    records = [split[peer] for split in splits.values() if peer in split]
    sound = [record for record in records if record["failure"] is None]
    if not sound:
        return "-"
    one = statistics.median(record["picked"][key] for record in sound)
    all_fits = statistics.median(record[key] for record in sound)
    cut = any(record["picked"]["stopped"] == "time" for record in sound)
    return f"{one:.2g}{'*' if cut else ''} / {_rounded(all_fits)}"


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"


def _beside_old(cases: dict[str, Splits], old: str) -> Iterator[RenderableType]:
    """rankrise beside an older one and the ridge ALS search, case by case."""
    table = Table(
        title=f"rankrise over {old}, and over the search of ridge ALS: geometric means "
        "over splits, medians of processor seconds"
    )
    table.add_column("case", no_wrap=True)
    for heading in ("test error", "CPU / old", "CPU / ridge"):
        table.add_column(heading, justify="right")
    for heading in ("CPU s: new", "old", "ridge", "MB: new", "old", "90% hold: new"):
        table.add_column(heading, justify="right")
    table.add_column("old", justify="right")
    rows = []
    for case, splits in cases.items():
        both = [each for each in splits.values() if _sound(each, (NAME, old))]
        if not both:
            continue
        three = [each for each in both if _sound(each, (RIDGE_ALS.name,))]
        row = (
            _over(both, old, lambda each: each["picked"]["test_error"]),
            _over(both, old, _cpu_seconds),
            _over(three, RIDGE_ALS.name, _cpu_seconds) if three else math.nan,
        )
        rows.append(row)
        table.add_row(
            f"{case} ({len(both)})",
            *(f"{each:.3f}" for each in row),
            *(_median(both, name, _cpu_seconds) for name in (NAME, old)),
            _median(three, RIDGE_ALS.name, _cpu_seconds),
            *(_median(both, name, _megabytes) for name in (NAME, old)),
            *(_coverage(both, name) for name in (NAME, old)),
        )
    if not rows:
        return
    table.add_section()
    for name, what in (("geometric mean", _geometric_mean), ("largest", max)):
        columns = zip(*rows, strict=True)
        known = [[each for each in c if not math.isnan(each)] for c in columns]
        table.add_row(name, *(f"{what(c):.3f}" if c else "-" for c in known))
    yield table
    fast = sum(row[2] <= 1 for row in rows)
    yield (
        f"At most the processor seconds of ridge ALS in {fast} of {len(rows)} cases; "
        f"errors more than 2% above the old in {sum(row[0] > 1.02 for row in rows)}."
    )


def _sound(split: dict[str, Record], peers: Sequence[str]) -> bool:
    return all(each in split and split[each]["failure"] is None for each in peers)


def _over(
    splits: Sequence[dict[str, Record]], peer: str, what: Callable[[Record], float]
) -> float:
    return _geometric_mean([what(each[NAME]) / what(each[peer]) for each in splits])


def _median(
    splits: Sequence[dict[str, Record]], peer: str, what: Callable[[Record], float]
) -> str:
    if not splits:
        return "-"
    return _rounded(statistics.median(what(each[peer]) for each in splits))


def _cpu_seconds(record: Record) -> float:
    return float(record["cpu_seconds"])


def _megabytes(record: Record) -> float:
    return float(record["picked"]["peak_bytes"] / 1e6)


def _coverage(splits: Sequence[dict[str, Record]], peer: str) -> str:
    shares = [each[peer]["picked"]["coverage"] for each in splits]
    return f"{100 * min(shares):.1f} to {100 * max(shares):.1f}%"


def _failures(cases: dict[str, Splits]) -> Iterable[str]:
    """A line each for peers that failed, and for those of whose fits some did."""
    for case, splits in cases.items():
        for split, peers in splits.items():
            for peer, record in peers.items():
                if record["failure"] is not None:
                    yield f"{case}, split {split}: {peer} failed: {record['failure']}"
                    continue
                counted = _counted(record["fits"])
                if counted:
                    yield f"{case}, split {split}: {peer}: {counted}"


def _counted(fits: Sequence[Record]) -> str:
    def count(what: Callable[[Record], bool]) -> int:
        return sum(map(what, fits))

    counts = {
        "failed": count(lambda fit: fit["failure"] is not None),
        "cut off by time": count(lambda fit: fit.get("stopped") == "time"),
    }
    said = [f"{number} {what}" for what, number in counts.items() if number]
    return f"of {len(fits)} fits {', '.join(said)}" if said else ""


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(math.log(max(each, 1e-300)) for each in values))
