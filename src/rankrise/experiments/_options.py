"""Options that several experiments share. Nothing here needs JAX."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from rankrise._errors import InputError

LossName = Literal["squared", "absolute", "huber", "smooth-l1", "logistic"]
Precision = Literal["float32", "float64"]


class Settings(BaseModel):
    """Settings of an experiment: frozen, with no room for a misspelled name."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True
    )


def require(condition: bool, message: str) -> None:
    """Raise the one error settings have."""
    if not condition:
        raise InputError(message)


def require_positive(**numbers: int | float | None) -> None:
    """Refuse numbers that are given and not positive, by the name of their option."""
    for name, number in numbers.items():
        require(
            number is None or number > 0,
            f"--{name.replace('_', '-')} is {number}; it must be positive.",
        )
