"""Numbers and labels along axes."""

import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from matplotlib.ticker import Formatter, FuncFormatter, LogLocator, MaxNLocator

# Of indices that have a tick, and of characters of a label there; longer ones than
# the last are turned on an axis across.
_TICKS, _LABEL, _LEVEL = 8, 12, 5
_MOST_DIGITS = 12
# Whole numbers below it are written as such.
_WHOLE = 1e5
_STEPS = (1, 2, 2.5, 5, 10)
# Logarithmic axes of fewer decades have ticks at 2 and 5 as well; numbers from the
# least plain one on need no power of ten.
_FEW_DECADES, _LEAST_PLAIN = 2.5, 1e-3
# Ticks nearer than this share of the axis would overlap.
_NEAR = 0.09


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


class _Decades(LogLocator):
    """Powers of ten, and twice and five times these where they are few."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """Where the ticks are between two values."""
        low, high = sorted((vmin, vmax))
        is_short = low > 0 and math.log10(high / low) < _FEW_DECADES
        self.set_params(subs=(1.0, 2.0, 5.0) if is_short else (1.0,))
        return super().tick_values(vmin, vmax)


def _written(number: float, digits: int) -> str:
    if number == round(number) and abs(number) < _WHOLE:
        return f"{number:.0f}"
    return f"{number:.{digits}g}"


def number_ticks(*axes: Any) -> None:
    """Few ticks, with the digits that tell them apart."""
    for axis in axes:
        if axis.get_scale() == "linear":
            axis.set_major_locator(MaxNLocator(6, steps=_STEPS))
            axis.set_major_formatter(_Digits())


def whole_ticks(axis: Any) -> None:
    """Ticks at whole numbers only."""
    axis.set_major_locator(MaxNLocator(_TICKS, integer=True, min_n_ticks=1))


def log_axis(panel: Any, *names: str) -> None:
    """Logarithmic axes with few numbers along them."""
    for name in names:
        axis = getattr(panel, f"{name}axis")
        getattr(panel, f"set_{name}scale")("log")
        axis.set_major_locator(_Decades(numticks=7))
        axis.set_major_formatter(FuncFormatter(_with_power))
        axis.set_minor_formatter("")


def _with_power(number: float, _: int | None = None) -> str:
    """A number plain, or times a power of ten."""
    if not number or _LEAST_PLAIN <= abs(number) < _WHOLE:
        return f"{number:.3g}" if abs(number) < 1 else f"{number:.0f}"
    power = math.floor(math.log10(abs(number)) + 1e-9)
    first = f"{number / 10.0**power:.3g}"
    times = "" if first == "1" else rf"{first} \times "
    return f"${times}10^{{{power}}}$"


def value_ticks(axis: Any, values: Collection[float]) -> None:
    """Ticks at a few values, but for those that would overlap."""
    if not 0 < len(values) <= _TICKS:
        return
    scaled = axis.get_transform().transform
    low, high = scaled(np.array(axis.get_view_interval()))
    kept: list[float] = []
    for value in sorted(values):
        gap = abs(float(scaled(value) - scaled(kept[-1]))) if kept else math.inf
        if gap > _NEAR * abs(high - low):
            kept.append(value)
    axis.set_ticks(kept, [f"{value:.3g}" for value in kept])
    axis.set_ticks([], minor=True)


def label_indices(axis: Any, label: Callable[[int], str], dim: int) -> None:
    """Labels of indices at a few of them."""

    def written(place: float, _: int | None) -> str:
        index = round(place)
        if not 0 <= index < dim:
            return ""
        name = label(index)
        return name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"

    whole_ticks(axis)
    axis.set_major_formatter(FuncFormatter(written))
    some = np.linspace(0, dim - 1, _TICKS + 1).round()
    if axis.axis_name == "x" and max(len(written(at, None)) for at in some) > _LEVEL:
        axis.set_tick_params(labelrotation=30)
