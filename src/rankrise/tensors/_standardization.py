"""Values brought to zero mean and unit root mean square."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.tensors._observations import Observations

_SMALLEST, _LARGEST = 1e-150, 1e150
# Units in the last place.
_ROUNDED = 4


@dataclass(frozen=True)
class Standardization:
    r"""The map $y \mapsto (y - \text{offset}) / \text{scale}$.

    Init scales and learning rates then mean the same for every data set.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rr.Standardization.fit(np.array([1.0, 3.0, 1.0, 3.0]), center=True)
    Standardization(offset=2.0, scale=1.0)
    """

    offset: float
    scale: float

    @classmethod
    def fit(cls, values: Values, *, center: bool) -> Standardization:
        """The map that gives these values unit root mean square (and zero mean)."""
        top = cls.check_range(values)
        offset = float(np.mean(values)) if center else 0.0
        scale = float(np.sqrt(np.mean((values - offset) ** 2)))
        # Rounding leaves this much of a constant.
        is_constant = center and np.ptp(values) <= _ROUNDED * np.spacing(top)
        if is_constant or not scale > 0:
            raise InputError(
                f"All observed values equal {float(values[0]):g}, so there is nothing "
                "to learn from them; fill the gaps with that value."
            )
        return cls(offset, scale)

    @staticmethod
    def check_range(values: Values) -> float:
        """The largest size of a value; refuses one whose square cannot be told."""
        top = float(np.abs(values).max())
        if top > 0 and not _SMALLEST < top < _LARGEST:
            raise InputError(
                f"The largest observed value is {top:g} in size, so squares leave the "
                "range of floating point; multiply all values by a constant."
            )
        return top

    def apply(self, observations: Observations) -> Observations:
        """Observations with standardized values."""
        values = (observations.values - self.offset) / self.scale
        return replace(observations, values=values)
