"""What is asked of numbers that are given in Python."""

import numpy as np

from rankrise._errors import InputError


def check_whole(name: str, number: object, least: int) -> None:
    """Refuse what is no whole number from `least` on."""
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or number < least:  # type: ignore[operator]
        raise InputError(f"{name} is {number}; give a whole number from {least}.")
