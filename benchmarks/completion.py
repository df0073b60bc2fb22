"""Completing tensors that packages ship, rankrise beside other methods.

Everyone gets the same entries to train on, the same to choose settings by, and is
tested on the same. What was done is written after each case and peer, so a run that was
interrupted goes on when started again. `--old CHECKOUT` takes the rankrise of another
checkout beside this one. Peers beyond rankrise's own dependencies:
`pip install tensorly pyttb scikit-image`.
"""

import argparse
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

import _completion_rankrise
from _completion_cases import ALL, DOCUMENTED, FAST, Case, load_case
from _completion_peers import PEERS
from _completion_search import errors, record_of, recorded, search
from _completion_table import tables
from _processes import HERE
from rankrise._atomic import write_json

RESULTS = Path(__file__).with_name("completion.json")
RANKRISE = _completion_rankrise.NAME
_FIT_SECONDS = {"fast": 2.0, "documented": 2.0, "all": 60.0}
_WIDTH = 170
_PACKAGES = ("numpy", "scipy", "scikit-learn", "tensorly", "pyttb", "scikit-image")


def compare(
    out: Path,
    splits: Mapping[str, int],
    *,
    peers: Sequence[str],
    checkouts: Mapping[str, Path],
    fit_seconds: float,
    afresh: bool,
    console: Console,
) -> dict[str, Any]:
    """Run what `out` lacks; records of failures are tried again.

    Parameters
    ----------
    splits
        How many of each case.
    checkouts
        Those whose rankrise is a peer, by its name.
    afresh
        Forget what `out` has of these cases and peers.
    """
    results = _resumed(out, fit_seconds)
    if afresh:
        results["environment"] = _surroundings()
        _forget(results, splits, peers)
    for name, split, peer in _todo(results, splits, peers):
        case = load_case(name, split)
        with console.status(f"{name}, split {split}: {peer} ..."):
            record = _record(case, peer, checkouts.get(peer), fit_seconds)
        results["cases"].setdefault(name, {}).setdefault(str(split), {})[peer] = record
        write_json(out, results)
        console.print(f"{name}, split {split}: {_said(peer, record)}", highlight=False)
    return results


def _resumed(out: Path, fit_seconds: float) -> dict[str, Any]:
    started = {
        "environment": _surroundings(),
        "fit_seconds": fit_seconds,
        "cases": {},
    }
    if not out.exists():
        return started
    results: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    if results["fit_seconds"] != fit_seconds:
        raise ValueError(
            f"{out} has fits of up to {results['fit_seconds']:g} s and this run would "
            f"give them {fit_seconds:g}; ask for the same with --fit-seconds, or for "
            "another file with --out."
        )
    return results


def _forget(
    results: dict[str, Any], splits: Mapping[str, int], peers: Sequence[str]
) -> None:
    for name, count in splits.items():
        for split in range(count):
            for peer in peers:
                results["cases"].get(name, {}).get(str(split), {}).pop(peer, None)


def _todo(
    results: dict[str, Any], splits: Mapping[str, int], peers: Sequence[str]
) -> Iterator[tuple[str, int, str]]:
    for name, count in splits.items():
        for split in range(count):
            done = results["cases"].get(name, {}).get(str(split), {})
            for peer in peers:
                if peer not in done or done[peer]["failure"] is not None:
                    yield name, split, peer


def _record(
    case: Case, peer: str, checkout: Path | None, fit_seconds: float
) -> dict[str, Any]:
    if checkout is None:
        return search(case, PEERS[peer], fit_seconds=fit_seconds)
    with recorded() as outcome:
        at_test, at_held_out, found = _completion_rankrise.rankrise_complete(
            case, checkout
        )
        outcome.update(errors(case, at_test, at_held_out), **found)
    return record_of([{"setting": {}, "stopped": None, **outcome}])


def _said(peer: str, record: dict[str, Any]) -> str:
    if record["failure"] is not None:
        return f"{peer} failed: {record['failure']}"
    picked, best = (record[which]["test_error"] for which in ("picked", "oracle"))
    return f"{peer}: {picked:.4f} picked, {best:.4f} oracle, {record['seconds']:.1f} s"


def _surroundings() -> dict[str, Any]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return {"versions": versions, "threads": threads}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cases",
        nargs="+",
        default=["fast"],
        help="fast, documented (those of docs/complete.md, with the splits they have "
        "there), all, or names such as il2/entries-80",
    )
    parser.add_argument("--splits", type=int, default=1, choices=(1, 3))
    parser.add_argument(
        "--peers", nargs="+", default=list(PEERS), choices=[*PEERS, RANKRISE]
    )
    parser.add_argument(
        "--old",
        type=Path,
        metavar="CHECKOUT",
        help="take the rankrise of this folder beside this one",
    )
    parser.add_argument(
        "--fit-seconds",
        type=float,
        help="processor time for one fit; 2 for fast or documented, otherwise 60",
    )
    parser.add_argument(
        "--afresh",
        action="store_true",
        help="forget what the results have of these cases and peers; leave it out to "
        "go on with a run that was interrupted",
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="results (JSON)")
    return parser.parse_args(arguments)


def _splits(options: argparse.Namespace) -> dict[str, int]:
    named = options.cases[0]
    if named == "documented":
        return dict(DOCUMENTED)
    cases = {"fast": FAST, "all": ALL}.get(named, tuple(options.cases))
    return dict.fromkeys(cases, options.splits)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, print, write."""
    options = _options(arguments)
    limit = options.fit_seconds or _FIT_SECONDS.get(options.cases[0], 60.0)
    checkouts, peers = {RANKRISE: HERE}, list(options.peers)
    if options.old:
        old = _completion_rankrise.name_of(options.old)
        checkouts[old] = options.old
        peers = [RANKRISE, old, *(each for each in peers if each != RANKRISE)]
    console = Console()
    # A column a peer: narrower ones would be cut, and in a file there is no width.
    console.width = max(console.width, _WIDTH)
    results = compare(
        options.out,
        _splits(options),
        peers=peers,
        checkouts=checkouts,
        fit_seconds=limit,
        afresh=options.afresh,
        console=console,
    )
    console.print(*tables(results), sep="\n")
    console.print(f"wrote {os.path.relpath(options.out)}")


if __name__ == "__main__":
    main()
