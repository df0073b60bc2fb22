"""Numbers and labels along axes."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from matplotlib.ticker import (
    Formatter,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

# Of indices that have a tick, and of characters of a label there.
_TICKS, _LABEL = 8, 12
_MOST_DIGITS = 12
# Whole numbers below it are written as such.
_WHOLE = 1e5


class _Digits(Formatter):
    """Three significant digits, and more only where ticks would read alike."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return _written(x, 3)

    def format_ticks(self, values: Collection[float]) -> list[str]:
        """All ticks of an axis, told apart."""
        different = len(set(values))
        for digits in range(3, _MOST_DIGITS):
            words = [_written(value, digits) for value in values]
            if len(set(words)) == different:
                break
        return words


def _written(number: float, digits: int) -> str:
    if number == round(number) and abs(number) < _WHOLE:
        return f"{number:.0f}"
    return f"{number:.{digits}g}"


def number_ticks(*axes: Any) -> None:
    """Few ticks, with the digits that tell them apart."""
    for axis in axes:
        if axis.get_scale() == "linear":
            axis.set_major_locator(MaxNLocator(6))
            axis.set_major_formatter(_Digits())


def whole_ticks(axis: Any) -> None:
    """Ticks at whole numbers only."""
    axis.set_major_locator(MaxNLocator(_TICKS, integer=True))


def log_axis(panel: Any, *names: str) -> None:
    """Logarithmic axes with labels at powers of ten alone."""
    for name in names:
        axis = getattr(panel, f"{name}axis")
        getattr(panel, f"set_{name}scale")("log")
        axis.set_major_locator(LogLocator(numticks=7))
        low, high = sorted(axis.get_view_interval())
        # Within a decade or two the others are needed, and further apart they overlap.
        if low > 0 and np.log10(high / low) > 1.5:
            axis.set_minor_formatter(NullFormatter())


def label_indices(axis: Any, label: Callable[[int], str], dim: int) -> None:
    """Labels of indices at a few of them."""

    def written(place: float, _: int | None) -> str:
        index = round(place)
        if not 0 <= index < dim:
            return ""
        name = label(index)
        return name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"

    axis.set_major_locator(MaxNLocator(_TICKS, integer=True))
    axis.set_major_formatter(FuncFormatter(written))
