"""Pictures in files, with their captions beside them."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

from rankrise._atomic import atomic_path
from rankrise.drawing import Figure, Picture, figure_style

FORMS = ("png", "pdf", "svg")

# Without an engine of its own, a figure takes one that these ask for.
_NO_LAYOUT: Any = {
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
}
_UNDATED = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG, PDF and SVG, and its caption as text.

    Each file is written atomically, and without a date inside.
    """
    written = []
    # One layout serves all forms; each would find it anew, and draw twice for it.
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        with mpl.rc_context(_NO_LAYOUT):
            figure.set_layout_engine(None)
    for form in FORMS:
        target = path.with_suffix(f".{form}")
        with atomic_path(target) as temporary, figure_style():
            figure.savefig(temporary, dpi=150, metadata=_UNDATED.get(form))
        written.append(target)
    if isinstance(figure, Picture) and figure.caption:
        target = path.with_suffix(".txt")
        with atomic_path(target) as temporary:
            temporary.write_text(f"{figure.caption}\n", encoding="utf-8")
        written.append(target)
    return written
