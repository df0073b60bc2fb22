"""The one check all rules with a learning rate share."""

import math

from jaxtyping import Array, Float

from rankrise._checks import check_real
from rankrise._errors import InputError


def check_learning_rate(learning_rate: float | Float[Array, ""]) -> None:
    """Refuse a learning rate that is not positive and finite."""
    check_real("The learning rate", learning_rate)
    if not (learning_rate > 0 and math.isfinite(learning_rate)):
        raise InputError(
            f"The learning rate is {learning_rate}; it must be positive and finite."
        )
