"""What is asked of numbers that are given in Python."""

from numbers import Real

import numpy as np

from rankrise._errors import InputError


def check_whole(name: str, number: object, least: int) -> None:
    """Refuse what is no whole number from `least` on."""
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or number < least:  # type: ignore[operator]
        raise InputError(f"{name} is {number}; give a whole number from {least}.")


def check_real(name: str, number: object) -> None:
    """Refuse what is no real number; an array without modes counts as one."""
    is_array = (
        getattr(number, "shape", None) == ()
        and getattr(number, "dtype", np.dtype(object)).kind in "fiu"
    )
    if isinstance(number, bool) or not (isinstance(number, Real) or is_array):
        raise InputError(f"{name} is {number!r}; give a number.")
