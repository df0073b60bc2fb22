"""How all pictures look.

Colours are those of Okabe and Ito (2008), which people with any kind of colour vision
tell apart; some are alike in grey, so each comes with a line and a marker of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl

# Blue, vermilion, green, purple, orange, sky blue, black; yellow is too light.
_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
)
_LINES: tuple[Any, ...] = (
    *("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1, 1, 1))),
)
_MARKERS = "os^DvPX"
GREY = "0.45"
# What was not observed, in pictures of entries.
MISSING = "0.75"

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
    # Text in SVG stays text, and the same picture has the same bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "rankrise",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Matplotlib settings inside the block; the user's own come back after it."""
    settings: Any = _SETTINGS  # its stubs want literal names
    with mpl.rc_context(settings):
        yield


def colour(place: int) -> str:
    """The colour of a curve, by its place among the curves."""
    return _COLOURS[place % len(_COLOURS)]


def marker(place: int) -> str:
    """The marker of a curve, by its place."""
    return _MARKERS[place % len(_MARKERS)]


def look(place: int) -> dict[str, Any]:
    """Colour and line of a curve, by its place."""
    return {"color": colour(place), "linestyle": _LINES[place % len(_LINES)]}
