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


@contextmanager
def figure_style() -> Iterator[None]:
    """Matplotlib settings inside the block; the user's own come back after it."""
    settings: Any = _SETTINGS  # its stubs want literal names
    with mpl.rc_context(settings):
        yield


def save_figure(figure: Figure, path: Path, formats: tuple[str, ...]) -> list[Path]:
    """Write a figure in several formats, atomically, without a date inside."""
    written = []
    # The layout of the first form is that of all; each would find it anew.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for form in formats:
        target = path.with_suffix(f".{form}")
        undated = {"CreationDate": None} if form == "pdf" else {}
        with atomic_path(target) as temporary:
            figure.savefig(temporary, dpi=150, metadata=undated)
        written.append(target)
    return written
