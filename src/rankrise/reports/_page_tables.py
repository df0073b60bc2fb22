"""Facts, warnings and tables of a page, as plain text and numbers."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from rankrise.reports._page_sweep import sweep_rows
from rankrise.reports._stored_run import StoredRun
from rankrise.runs import Ending

# Of a table on a page; the folder holds all.
_ROWS = 500
_LONGEST = 200
# Shown open: what the command was called for.
_OPEN = {"Statements", "Claims", "Runs", "Descents", "Experiment: claims"}
_GOOD = {"converged", "done"}
_BAD = {"diverged", "failed", "violated"}
# Told beside the figures, by name.
_FACTS = {
    "rank": "rank",
    "components": "components used",
    "heldout_relative_error": "held-out relative error",
    "heldout_centered_error": "held-out error about the mean",
    "train_relative_error": "training relative error",
    "convergence_order": "convergence order",
    "dataset": "data set",
    "steps": "steps",
    "loss": "loss",
}


def ending_of(run: StoredRun) -> str:
    """How the run ended, in the words of its summary."""
    return str(run.summary["result"]) if run.summary else "not finished"


def tone_of(run: StoredRun) -> str:
    """Whether the ending is good news: good, warn or bad."""
    ending = ending_of(run)
    if ending in (*_GOOD, Ending.STOPPED):
        return "good" if ending in _GOOD else "plain"
    return "bad" if ending in _BAD else "warn"


def facts_of(run: StoredRun) -> list[dict[str, Any]]:
    """The figures of merit, each with a name, a text, and the number itself."""
    summary = _inner(run)
    facts = []
    if "mode_dims" in summary:
        size = " × ".join(map(str, summary["mode_dims"]))
        facts.append({"name": "tensor", **_cell(size)})
    if summary.get("entries"):
        share = summary["observed_entries"] / summary["entries"]
        facts.append({"name": "observed", "text": f"{share:.1%}", "value": share})
    for key, name in _FACTS.items():
        if summary.get(key) is not None:
            facts.append({"name": name, **_cell(summary[key])})
    if summary.get("complexity"):
        words = summary["complexity"]["words"].removeprefix("complexity ")
        facts.append({"name": "complexity", **_cell(words)})
    for key in ("claims", "runs", "models"):
        if summary.get(key):
            facts.append({"name": key, **_cell(len(summary[key]))})
    if summary.get("sweep_runs"):
        facts.append({"name": "runs", **_cell(summary["sweep_runs"])})
        facts.append({"name": "failed", **_cell(len(summary["failed"]))})
    runs = summary.get("runs") or []
    errors = [x["reconstruction_error"] for x in runs if x.get("reconstruction_error")]
    if errors:
        facts.append({"name": "least reconstruction error", **_cell(min(errors))})
        risen = [sum(x is not None for x in each["rises"]) for each in runs]
        facts.append({"name": "components that rose", **_cell(risen)})
    seconds = [summary.get(x) for x in ("seconds", "seconds_run", "seconds_compile")]
    total = sum(x for x in seconds if isinstance(x, int | float))
    if total:
        facts.append({"name": "time", "text": _time(total), "value": total})
    return facts


def warnings_of(run: StoredRun) -> list[str]:
    """What a reader must know before the figures."""
    if not run.summary:
        return [
            "The run has not ended, or was killed; what its last checkpoint holds is "
            "shown."
        ]
    summary, found = _inner(run), []
    ending = ending_of(run)
    # Models of a study are meant to use all their epochs.
    is_meant = ending == Ending.STOPPED and run.command.endswith("complexity")
    if ending in list(Ending) and Ending(ending).remedy and not is_meant:
        found.append(f"The run ended as {ending}. {Ending(ending).remedy}")
    asked, models = summary.get("asked_models"), summary.get("models")
    if asked and models is not None and len(models) < asked:
        found.append(f"Only {len(models)} of {asked} models were made.")
    if (unlike := summary.get("gaps_unlike_heldout") or 0) > 0:
        found.append(
            f"{unlike:.0%} of the gaps are unlike all that could be held out; the "
            "held-out error does not hold for them."
        )
    if count := summary.get("unobserved_slice_count"):
        found.append(f"{count} slices have no observed entry and stay empty.")
    if summary.get("more_components_help"):
        found.append("More components than were tried may still lower the error.")
    for name in summary.get("violated") or ():
        found.append(f"The claim {name} is violated.")
    for name in summary.get("not_tested") or ():
        found.append(f"The claim {name} was not tested.")
    rows = summary.get("runs") or ()
    found += [
        f"A run diverged: {row['reason']}."
        for row in rows
        if row.get("result") == Ending.DIVERGED
    ]
    found += [f"Left out: {each}." for each in run.summary.get("left_out") or ()]
    return found


def tables_of(run: StoredRun) -> list[tuple[str, dict[str, Any], bool]]:
    """Settings, all single values of the summary, and every list of rows in it."""
    single: dict[str, Any] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, value in _flat(run.summary):
        if _is_rows(value):
            rows[name] = value
        elif not name.startswith(("settings.", "experiment.settings.")):
            single[name] = value
    if run.command == "sweep":
        rows = {"runs": sweep_rows(run), **rows}
    if not run.summary:
        single.update(_flat({"source": run.source}))
    tables = [(_title(name), table(each)) for name, each in rows.items()]
    settings = dict(_flat(run.settings))
    tables.append(("Settings", _pairs(settings)))
    tables.append(("Everything else", _pairs(single)))
    return [(name, each, name in _OPEN) for name, each in tables if each["rows"]]


def comparison_table(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """A row for each run, with the facts that any of them has."""
    facts = [{x["name"]: x for x in facts_of(run)} for run in runs]
    names = list(dict.fromkeys(name for each in facts for name in each))
    nothing = {"text": "", "value": None}
    rows = [
        [_cell(run.name), _cell(run.command), _cell(ending_of(run))]
        + [own.get(name, nothing) for name in names]
        for run, own in zip(runs, facts, strict=True)
    ]
    return _table(["run", "command", "ending", *names], rows)


def differing_settings(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """Settings in which the runs differ, a column for each run."""
    own = [dict(_flat(run.settings)) for run in runs]
    names = list(dict.fromkeys(name for each in own for name in each))
    rows = [
        [_cell(name), *(_cell(each.get(name)) for each in own)]
        for name in names
        if len({json.dumps(each.get(name)) for each in own}) > 1
    ]
    return _table(["setting", *(run.name for run in runs)], rows)


def table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A table of rows with values under names."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in names] for row in rows[:_ROWS]]
    words = [name.replace("_", " ") for name in names]
    return _table(words, cells, len(rows))


def _table(
    columns: list[str], rows: list[list[dict[str, Any]]], count: int = 0
) -> dict[str, Any]:
    left_out = f"The first {_ROWS} of {count} rows." if count > len(rows) else ""
    return {"columns": columns, "rows": rows, "left_out": left_out}


def _pairs(values: dict[str, Any]) -> dict[str, Any]:
    rows = [[_cell(name), _cell(value)] for name, value in values.items()]
    return _table(["name", "value"], rows)


def _inner(run: StoredRun) -> dict[str, Any]:
    """What the command found, of `reproduce` what its experiment did."""
    return run.summary.get("experiment") or run.summary


def _flat(values: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_rows(value: Any) -> bool:
    is_list = isinstance(value, list) and bool(value)
    return is_list and all(isinstance(each, dict) for each in value)


def _title(name: str) -> str:
    words = name.replace("_", " ").replace(".", ": ")
    return words[:1].upper() + words[1:]


def _cell(value: Any) -> dict[str, Any]:
    """Text for people, and the number where it is one."""
    if isinstance(value, bool) or value is None:
        words = {True: "yes", False: "no", None: "–"}[value]
        return {"text": words, "value": None}
    if isinstance(value, int):
        return {"text": str(value), "value": value}
    if isinstance(value, float):
        if not math.isfinite(value):
            return {"text": "–", "value": None}
        return {"text": f"{value:.4g}", "value": repr(value)}
    if isinstance(value, list):
        value = ", ".join(_cell(each)["text"] for each in value)
    elif isinstance(value, dict):
        value = json.dumps(value)
    words = str(value)
    if len(words) > _LONGEST:
        words = f"{words[: _LONGEST - 1]}…"
    return {"text": words, "value": None}


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
