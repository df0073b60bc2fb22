"""How all figures look."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from rankrise._atomic import atomic_path

_SETTINGS: dict[str, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "font.size": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}

# Without an engine of its own, a figure takes one that these ask for.
_NO_LAYOUT: Any = {
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Matplotlib settings inside the block; the user's own come back after it."""
    settings: Any = _SETTINGS  # its stubs want literal names
    with mpl.rc_context(settings):
        yield


def save_figure(figure: Figure, path: Path, formats: tuple[str, ...]) -> list[Path]:
    """Write a figure in several formats, atomically, without a date inside."""
    written = []
    # One layout serves all forms; each would find it anew, and draw twice for it.
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        with mpl.rc_context(_NO_LAYOUT):
            figure.set_layout_engine(None)
    for form in formats:
        target = path.with_suffix(f".{form}")
        undated = {"CreationDate": None} if form == "pdf" else {}
        with atomic_path(target) as temporary:
            figure.savefig(temporary, dpi=150, metadata=undated)
        written.append(target)
    return written
