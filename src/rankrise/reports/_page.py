"""One HTML file that shows runs, to be read without a network."""

import base64
import functools as ft
import gzip
import hashlib
import importlib
import json
import math
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from rankrise._atomic import atomic_path
from rankrise._optional import imported
from rankrise._version import __version__
from rankrise.reports._page_panels import panels_of
from rankrise.reports._page_tables import (
    comparison_table,
    differing_settings,
    ending_of,
    facts_of,
    tables_of,
    tone_of,
    warnings_of,
)
from rankrise.reports._stored_run import StoredRun, read_runs, refusing_damage

_PAGE = Path(__file__).parent / "page"
# Of a number in a figure; more cannot be seen.
_DIGITS = 6


def write_report(
    folders: Iterable[Path | str],
    out: Path | str = "report.html",
    *,
    refresh: int | None = None,
) -> bool:
    """Write what runs left in their folders as one HTML file that needs no network.

    Parameters
    ----------
    folders
        Folders that commands wrote, of any commands. They are shown side by side. A
        folder that holds several stands for them.
    out
        The file; it is replaced.
    refresh
        Seconds after which the page loads itself anew, until all runs have ended.

    Returns
    -------
    Whether all runs have ended.

    Raises
    ------
    InputError
        If a folder is of no run or damaged, or what draws the page is not installed.

    Notes
    -----
    Large tensors and long runs are thinned out, and the page says so. The file has
    about two megabytes besides the data.
    """
    jinja2 = imported("jinja2", "report", "A report needs")
    runs = read_runs([Path(folder) for folder in folders])
    shown = [_shown(run) for run in runs]
    finished = all(run.is_finished for run in runs)
    live = None if finished else refresh
    plotly, plotly_hash = _packed_plotly()
    script = (_PAGE / "report.js").read_text(encoding="utf-8")
    # Nothing but the two programs runs, whatever a label says.
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; "
        f"script-src 'sha256-{_hash(script)}' 'sha256-{plotly_hash}'"
    )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGE),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    safe = importlib.import_module("markupsafe").Markup
    names = ", ".join(run.name for run in runs)
    data = {
        "refresh": live,
        "runs": [{"name": x["name"], "panels": x["panels"]} for x in shown],
    }
    text = environment.get_template("report.html.jinja").render(
        title=f"rankrise: {names}",
        policy=policy,
        css=safe((_PAGE / "report.css").read_text(encoding="utf-8")),
        script=safe(script),
        data=safe(_json(data)),
        plotly=safe(plotly),
        runs=shown,
        comparison=comparison_table(runs) if len(runs) > 1 else None,
        differing=differing_settings(runs),
        live=live,
        written=datetime.now().strftime("%Y-%m-%d %H:%M:%S"),
        version=__version__,
    )
    with atomic_path(Path(out)) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return finished


def _shown(run: StoredRun) -> dict[str, Any]:
    panels, notes = panels_of(run)
    notes += map(str, run.summary.get("notes") or ())
    with refusing_damage(run.path / "summary.json"):
        return {
            "name": run.name,
            "command": run.command,
            "ending": ending_of(run),
            "tone": tone_of(run),
            "facts": facts_of(run),
            "warnings": warnings_of(run),
            "notes": notes,
            "tables": tables_of(run),
            "panels": panels,
        }


def _json(content: Any) -> str:
    """JSON for the inside of a script: no sign in it ends or begins a tag."""
    text = json.dumps(_rounded(content), allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(name): _rounded(each) for name, each in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(each) for each in content]
    if isinstance(content, float):
        return float(f"{content:.{_DIGITS}g}") if math.isfinite(content) else None
    return content


@ft.cache
def _packed_plotly() -> tuple[str, str]:
    """The program that draws, compressed as text, and its hash."""
    program = imported("plotly.offline", "report", "A report needs").get_plotlyjs()
    # A script that is put into a page has its ends of lines as the page has.
    program = program.replace("\r\n", "\n")
    packed = gzip.compress(program.encode("utf-8"), 9, mtime=0)
    return base64.b64encode(packed).decode("ascii"), _hash(program)


def _hash(program: str) -> str:
    digest = hashlib.sha256(program.encode("utf-8")).digest()
    return base64.b64encode(digest).decode("ascii")
