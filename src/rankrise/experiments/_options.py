"""Options that several experiments share. Nothing here needs JAX."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from rankrise._errors import InputError
from rankrise._settings import LARGEST, LARGEST_WHOLE, SMALLEST, Settings

LossName = Literal["squared", "absolute", "huber", "smooth-l1", "logistic"]
Precision = Literal["float32", "float64"]
KeptComponents = int | Literal["all"]


class ExperimentSettings(Settings):
    """Settings of an experiment, whose command reads them as they are typed."""

    _from_text: ClassVar[bool] = True


def typed(values: Sequence[object]) -> str:
    """Several values as they are typed."""
    return " ".join(map(str, values)) or "empty"


def require(condition: bool, message: str) -> None:
    """Raise the one error settings have."""
    if not condition:
        raise InputError(message)


def require_bounded(**numbers: int | float | None) -> None:
    """Refuse numbers that are given and too large, by their names."""
    for name, number in numbers.items():
        limit = LARGEST_WHOLE if isinstance(number, int) else LARGEST
        require(
            number is None or abs(number) <= limit,
            f"`{name}` is {number}; it can be {limit} at most.",
        )


def require_positive(**numbers: int | float | None) -> None:
    """Refuse numbers that are given and not positive, or too large."""
    for name, number in numbers.items():
        require(
            number is None or number > 0,
            f"`{name}` is {number}; it must be positive.",
        )
    require_bounded(**numbers)


def require_not_negative(**numbers: int | float | None) -> None:
    """Refuse numbers that are given and negative, or too large."""
    for name, number in numbers.items():
        require(
            number is None or number >= 0,
            f"`{name}` is {number}; it cannot be negative.",
        )
    require_bounded(**numbers)


def require_moderate(**numbers: float | None) -> None:
    """Refuse sizes that are given and that no run could compute with."""
    for name, number in numbers.items():
        require(
            number is None or SMALLEST <= number <= LARGEST,
            f"`{name}` is {number}; it must lie between {SMALLEST:g} and {LARGEST:g}.",
        )


def require_kept_components(kept_components: KeptComponents) -> None:
    """Refuse a number of components to keep that is not positive, or too large."""
    if kept_components != "all":
        require_positive(kept_components=kept_components)


def require_init_scales(init_scales: Sequence[float]) -> None:
    """Refuse an empty list of init scales, and those no run could start from."""
    require(
        len(init_scales) > 0,
        "`init_scales` is empty; give at least one number or leave it out.",
    )
    for scale in init_scales:
        require_moderate(init_scales=scale)


def require_order(order: int, highest: int) -> None:
    """Refuse an order that is not that of a tensor, or too high to compute with."""
    require(
        2 <= order <= highest,
        f"`order` is {order}; it must lie between 2 and {highest}.",
    )


def require_mode_dims(mode_dims: Sequence[int] | None) -> None:
    """Refuse mode dimensions that are given and not those of a tensor."""
    if mode_dims is not None:
        require(
            len(mode_dims) >= 2 and min(mode_dims) >= 1,
            f"`mode_dims` is {typed(mode_dims)}; give two whole numbers or more, each "
            "at least 1.",
        )
