"""What every loss offers: its values, its link and its majorizer."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Values

# Nearer to zero than this, a quotient is taken at this distance.
SMALL = 1e-6


class AbstractLoss(ABC):
    r"""A loss $\ell(p, y)$; a problem takes its weighted mean over observations.

    A loss of your own is a frozen dataclass with `__call__`; all else has a default.
    To complete with it, it needs a `majorizer`, or `slopes` if it depends on $|p - y|$
    alone.

    Attributes
    ----------
    takes_labels
        Whether it is defined for the observed values 0 and 1 only.
    takes_counts
        Whether it is defined for observed values from 0 on only: counts, or rates,
        which need not be whole.
    bounds
        Range of observed values and of predicted means.
    is_linked
        Whether predictions pass through a link, which `mean` inverts.
    is_additive
        Whether predictions are rates that components add to, so factors may not be
        negative.
    has_bound
        Whether the parabola of `majorizer` lies above the loss; else it has to be
        convex, and steps are shortened that would raise it.
    is_robust
        Whether outliers hardly move what is fitted.
    smoothness
        Continuous derivatives it has: 0 with a kink, 1 if its slope has one, else 2.
    """

    takes_labels: ClassVar[bool] = False
    takes_counts: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    is_linked: ClassVar[bool] = False
    is_additive: ClassVar[bool] = False
    has_bound: ClassVar[bool] = True
    is_robust: ClassVar[bool] = False
    smoothness: ClassVar[int] = 1

    @abstractmethod
    def __call__(self, predictions: Any, values: Any) -> Any:
        """Loss of each prediction: of arrays of NumPy, or of JAX, which differentiates.

        `array_namespace` of the arrays has the functions for either.
        """

    def mean(self, predictions: Values) -> Values:
        """Expected values at predictions: the inverse link."""
        return predictions

    def link_of_mean(self, mean: float, count: int) -> float:
        """The prediction whose mean is that of `count` observations; always finite."""
        return mean

    def start(self, mean: float, count: int) -> float:
        """What predictions are without a component, where they pass through a link."""
        return self.link_of_mean(mean, count)

    def slopes(self, distances: Values) -> Values:
        r"""$d\ell/d|z|$ of a loss of $|z| = |p - y|$, at sizes above zero."""
        raise NotImplementedError

    def majorizer(self, predictions: Values, values: Values) -> tuple[Values, Values]:
        """$a$ and $t$ of $a (q - t)^2$ with the slope the loss has at a prediction.

        Where `has_bound`, the parabola that touches there lies above the loss, so
        minimizing it lowers the loss (iteratively reweighted least squares). By default
        it is centred on the value, of a loss with `slopes`; it lies above if the slope
        over the distance nowhere rises with the distance.
        """
        distances = np.subtract(predictions, values)
        np.abs(distances, out=distances)
        np.maximum(distances, SMALL, out=distances)
        weights = self.slopes(distances) / distances
        weights *= 0.5
        return weights, values

    @property
    def has_majorizer(self) -> bool:
        """Whether `majorizer` gives one, and not an error."""
        kind = type(self)
        return (
            kind.majorizer is not AbstractLoss.majorizer
            or kind.slopes is not AbstractLoss.slopes
        )

    def check_values(
        self, values: Values, place: Callable[[int], str] = "Observation {}".format
    ) -> None:
        """Refuse observed values the loss is not defined for.

        Parameters
        ----------
        place
            Words for where a value is, by its number.
        """
        is_wrong, why = values < 0, "counts are not negative"
        if self.takes_labels:
            is_wrong = (values != 0) & (values != 1)
            why = "labels are 0 and 1"
        elif not self.takes_counts:
            return
        if is_wrong.any():
            row = int(np.argmax(is_wrong))
            raise InputError(
                f"{place(row)} has the value {values[row]:.6}, but with this loss "
                f"{why}; recode it, leave it out or choose another loss."
            )
