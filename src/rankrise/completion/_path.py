"""One warm path of penalties from large to small, on which components enter.

A large penalty lets few components live, a smaller one more: so the number of
components is found on the way, and entries that are held out say where the path was
best.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from rankrise.completion._alternating import (
    CompletionData,
    Move,
    advance,
    nothing,
    widened,
)
from rankrise.completion._normal_equations import FactorMatrices

FloatArray = npt.NDArray[np.floating]

# Directions that are tried for a component to enter with.
_DIRECTIONS = 4
# Room for components is compiled for in these widths.
_WIDTHS = (8, 16, 32, 64, 128, 256)


class PathPoint(NamedTuple):
    """What was measured where a path came to rest."""

    penalty: float
    rank: int
    train_loss: float
    heldout_loss: float
    correlations: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PathSettings:
    """How a path goes.

    Attributes
    ----------
    penalties
        In units of one observation's weight, for values of unit root mean square.
    max_components
        Where no more enter.
    smooth
        Whether neighbouring rows of a mode may be taken to be alike.
    sweeps
        Over the modes, at most, after a component entered; twice as many after the
        penalty fell.
    patient_entries, patient_penalties
        So many without a new best held-out loss end the entries at a penalty, or the
        path.
    """

    penalties: tuple[float, ...] = (8.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.05)
    max_components: int = 64
    smooth: bool = True
    sweeps: int = 4
    patient_entries: int = 3
    patient_penalties: int = 3


@dataclass
class Path:
    """A path and the best point on it.

    Attributes
    ----------
    factors
        Of the best point, without empty columns.
    """

    points: list[PathPoint] = field(default_factory=list)
    best: int = -1
    factors: tuple[FloatArray, ...] = ()

    @property
    def best_point(self) -> PathPoint:
        """Where the held-out loss was smallest."""
        return self.points[self.best]


def follow_path(
    data: CompletionData,
    mode_dims: tuple[int, ...],
    settings: PathSettings,
    *,
    seed: int,
    go_on: Callable[[PathPoint], bool] | None = None,
) -> Path:
    """Walk the path; it begins with nothing learned.

    Parameters
    ----------
    go_on
        Told of every point; the path ends where it says no.
    """
    walk = _Walk(data, mode_dims, settings, seed, go_on)
    worse = 0
    for penalty in settings.penalties:
        before = walk.path.best
        walk.at(penalty)
        if walk.ended:
            break
        worse = 0 if walk.path.best > before else worse + 1
        if worse >= settings.patient_penalties and walk.path.best > 0:
            break
    return walk.path


class _Walk:
    """The host's side: which move comes next."""

    def __init__(
        self,
        data: CompletionData,
        mode_dims: tuple[int, ...],
        settings: PathSettings,
        seed: int,
        go_on: Callable[[PathPoint], bool] | None,
    ) -> None:
        self.path = Path()
        self.ended = False
        self._data, self._settings, self._go_on = data, settings, go_on
        self._rng = np.random.default_rng(seed)
        self._width = _wide_enough(1, settings.max_components)
        self._stage = nothing(data, mode_dims, self._width)
        self._note(math.inf)

    def at(self, penalty: float) -> None:
        """Come to rest at this penalty; components enter while they help."""
        count = int(self._stage.learned)
        if count:
            self._take(penalty, enter=False, sweeps=2 * self._settings.sweeps)
        unhelpful = 0
        while unhelpful < self._settings.patient_entries and not self.ended:
            count = int(self._stage.learned)
            if count >= self._settings.max_components:
                return
            before = self.path.best
            self._take(penalty, enter=True, sweeps=self._settings.sweeps)
            if int(self._stage.learned) <= count:
                return
            unhelpful = 0 if self.path.best > before else unhelpful + 1

    def _take(self, penalty: float, *, enter: bool, sweeps: int) -> None:
        count = int(self._stage.learned)
        if enter and count == self._width:
            self._width = _wide_enough(count + 1, self._settings.max_components)
            self._stage = widened(self._stage, self._width)
        dtype = self._data.targets.values.dtype
        stage = advance(
            self._data,
            self._stage,
            Move(
                penalty=jnp.asarray(penalty, dtype),
                enter=jnp.asarray(enter),
                smooth=jnp.asarray(self._settings.smooth),
                sweeps=jnp.asarray(sweeps, jnp.int32),
                directions=self._directions(),
            ),
        )
        if math.isfinite(float(stage.objective)):
            self._stage = stage
            self._note(penalty)

    def _directions(self) -> FactorMatrices:
        return tuple(
            jnp.asarray(self._rng.standard_normal((len(matrix), _DIRECTIONS)))
            for matrix in self._stage.factors
        )

    def _note(self, penalty: float) -> None:
        stage, path = self._stage, self.path
        point = PathPoint(
            penalty,
            int(stage.learned),
            float(stage.train_loss),
            float(stage.heldout_loss),
            tuple(map(float, stage.correlations)),
        )
        path.points.append(point)
        if path.best < 0 or point.heldout_loss < path.best_point.heldout_loss:
            path.best = len(path.points) - 1
            path.factors = tuple(
                np.asarray(matrix)[:, : point.rank] for matrix in stage.factors
            )
        if self._go_on is not None and not self._go_on(point):
            self.ended = True


def _wide_enough(count: int, most: int) -> int:
    return next(width for width in (*_WIDTHS, most) if width >= count)
