r"""Which component rises next, beside those that are learned.

For order three or more the unlearned components grow under a constant gradient until
the first escapes. For matrices all grow exponentially at once along singular pairs of
the gradient, and the rate decides: greedy low-rank learning (Li, Luo and Lyu 2021).
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float

from rankrise._compiling import lowered
from rankrise.factorizations import (
    AbstractFactorization,
    CPFactorization,
    DeepMatrixFactorization,
    end_gradient,
)
from rankrise.limit._escape import EscapeSearch, critical_direction, unit_blocks
from rankrise.limit._pull_field import AbstractPullField, pull_field, stacked
from rankrise.problems import AbstractProblem

FloatArray = npt.NDArray[np.floating]


# A direction this close to a maximum of the pull is on its way to it.
_NEAR = 0.3


class Riser(NamedTuple):
    """The component that rises next.

    Attributes
    ----------
    units
        Its direction, a unit vector per mode.
    place
        What it is among the components of the start, see `LearnedComponents`.
    name
        The same for people.
    pull
        Pull of minus the loss gradient on the direction it ends in.
    wait
        Scaled time since the last plateau; NaN where it is not known.
    rivals
        Names of those that would have risen within the tie tolerance of it.
    undecided
        Whether its direction is still far from where it would end.
    """

    units: tuple[FloatArray, ...]
    place: FloatArray
    name: str
    pull: float
    wait: float
    rivals: tuple[str, ...]
    undecided: bool = False


class AbstractPool(ABC):
    """Components that are not learned.

    Attributes
    ----------
    strength
        Norm of the loss gradient when `look` was last called.
    evaluations
        Gradients it took so far.
    """

    strength = 0.0
    evaluations = 0.0

    @abstractmethod
    def lowered(
        self, problem: AbstractProblem, *learned: AbstractFactorization
    ) -> list[Any]:
        """Programs that learned sets of these shapes need, to be compiled."""

    @abstractmethod
    def look(self, problem: AbstractProblem, learned: AbstractFactorization) -> None:
        """Take the loss gradient beside what is learned now."""

    @abstractmethod
    def next(self) -> Riser | None:
        """The next to rise; None where nothing is pulled."""


class EscapingComponents(AbstractPool):
    """Components of a CP factorization of order three or more."""

    def __init__(
        self, start: CPFactorization, accuracy: float, tie_tolerance: float
    ) -> None:
        vectors = np.asarray(stacked(start))
        # The limit does not depend on the overall scale; the scaled time counts from
        # parameters with root mean square one.
        self._vectors = vectors / np.sqrt(np.mean(vectors**2))
        self._accuracy = max(accuracy, 100 * float(np.finfo(vectors.dtype).eps))
        self._tie_tolerance = tie_tolerance
        self._ends = np.cumsum(start.mode_dims)[:-1]
        self._time = 0.0

    def lowered(
        self, problem: AbstractProblem, *learned: AbstractFactorization
    ) -> list[Any]:
        for model in learned:
            field, _ = _pull_field(problem, model)
        return EscapeSearch(field, self._accuracy).lowered(self._vectors)

    def look(self, problem: AbstractProblem, learned: AbstractFactorization) -> None:
        self._field, strength = _pull_field(problem, learned)
        self.strength = float(strength)
        self.evaluations += 1

    def next(self) -> Riser | None:
        search = EscapeSearch(self._field, self._accuracy)
        escape = search.first(self._vectors)
        self.evaluations += search.evaluations
        if escape is None:
            return None
        self._vectors = escape.others
        self._time += escape.time
        limit, pull = critical_direction(self._field, escape.vectors[:, 0])
        grown, units = unit_blocks(escape.vectors[:, 0], self._ends), np.asarray(limit)
        # Escaping along a saddle of the pull: the direction turns away like a small
        # power of the size, so at no scale in practice does it reach the maximum.
        undecided = bool(np.linalg.norm(grown - units) > _NEAR)
        if undecided:
            units = grown
        near = escape.time_left <= self._tie_tolerance * self._time
        place = np.zeros(self._vectors.shape[1])
        place[escape.component] = 1
        return Riser(
            units=tuple(np.split(units, self._ends)),
            place=place,
            name=f"component {escape.component}",
            pull=float(pull),
            wait=escape.time,
            rivals=tuple(f"component {r}" for r in np.flatnonzero(near)),
            undecided=undecided,
        )


class SingularPairs(AbstractPool):
    r"""Singular pairs of the loss gradient, for matrices.

    From a start of scale $\alpha$ everything is $\alpha^{-x}$ with exponents $x_j$, one
    for each direction among the columns, $-1$ at first. Under a gradient with singular
    values $s_j$, in units of $\log(1/\alpha)$, the first reaches zero after
    $T = -x_1/s_1$, and then $x_j \leftarrow x_{j+1} + s_{j+1} T$.
    """

    def __init__(
        self,
        start: CPFactorization | DeepMatrixFactorization,
        tie_tolerance: float,
    ) -> None:
        self._tie_tolerance = tie_tolerance
        self._start = start
        self._places: list[FloatArray] | None = None
        self._learned = 0
        timed = isinstance(start, CPFactorization) or start.depth == 2
        most = min(*start.mode_dims, start.components)
        self._exponents = np.full(most, -1.0 if timed else np.nan)

    def lowered(
        self, problem: AbstractProblem, *learned: AbstractFactorization
    ) -> list[Any]:
        return [lowered(_end_gradient, problem, model) for model in learned]

    def look(self, problem: AbstractProblem, learned: AbstractFactorization) -> None:
        gradient = np.asarray(_end_gradient(problem, learned), dtype=np.float64)
        self._left, self._rates, right = np.linalg.svd(-gradient, full_matrices=False)
        self._right = right.T
        self.strength = float(np.linalg.norm(gradient))
        self.evaluations += 1

    def next(self) -> Riser | None:
        """The pair of the largest singular value."""
        rates = self._rates
        if not len(self._exponents) or not rates[0] > 0:
            return None
        wait = -self._exponents[0] / rates[0]
        rest = len(self._exponents) - 1
        self._exponents = self._exponents[1:] + rates[1 : rest + 1] * wait
        place = self._place()
        self._learned += 1
        second = rates[1] if len(rates) > 1 else 0.0
        tied = rates[0] - second <= self._tie_tolerance * rates[0]
        return Riser(
            units=(self._left[:, 0], self._right[:, 0]),
            place=place,
            name=f"singular pair {self._learned}",
            pull=float(rates[0]),
            wait=float(wait),
            rivals=("the next singular pair",) if tied else (),
        )

    def _place(self) -> FloatArray:
        """Direction among the start's columns along which the pair grows."""
        if not isinstance(self._start, CPFactorization):
            return np.zeros(0)
        if self._places is None:
            # What grows along pair j is (A^T u_j + B^T v_j) / 2; an earlier one that is
            # learned leaves the complement of its direction to the later ones.
            first, second = map(np.asarray, self._start.factor_matrices)
            overlaps = first.T @ self._left + second.T @ self._right
            basis, _ = np.linalg.qr(overlaps)
            signs = np.sign(np.sum(basis * overlaps[:, : basis.shape[1]], axis=0))
            self._places = list((basis * np.where(signs == 0, 1, signs)).T)
        return self._places[self._learned]


@eqx.filter_jit
def _pull_field(
    problem: AbstractProblem, learned: AbstractFactorization
) -> tuple[AbstractPullField, Float[Array, ""]]:
    field = pull_field(problem, learned)
    return field, field.strength()


@eqx.filter_jit
def _end_gradient(
    problem: AbstractProblem, learned: AbstractFactorization
) -> Float[Array, "..."]:
    return end_gradient(problem.loss, learned)
