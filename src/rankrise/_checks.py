"""What is asked of numbers that are given in Python."""

from numbers import Real

import numpy as np

from rankrise._errors import InputError


def check_whole(name: str, number: object, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number from `least` on, and up to `most`."""
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or not least <= number <= (number if most is None else most):  # type: ignore[operator]
        to = "" if most is None else f" to {most}"
        given = repr(number) if isinstance(number, str) else number
        raise InputError(f"{name} is {given}; give a whole number from {least}{to}.")


def check_real(name: str, number: object) -> None:
    """Refuse what is no real number; an array without modes counts as one."""
    is_array = (
        getattr(number, "shape", None) == ()
        and getattr(number, "dtype", np.dtype(object)).kind in "fiu"
    )
    if isinstance(number, bool) or not (isinstance(number, Real) or is_array):
        raise InputError(f"{name} is {number!r}; give a number.")
