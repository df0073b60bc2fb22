"""One warm path of penalties from large to small, on which components enter.

A large penalty lets few components live, a smaller one more: so the number of
components is found on the way, and entries that are held out say where the path was
best.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array

from rankrise.completion._alternating import (
    DIRECTIONS,
    CompletionData,
    Move,
    Stage,
    advance,
    nothing,
    widened,
)
from rankrise.completion._layout import split_rows, stack_rows

FloatArray = npt.NDArray[np.floating]

# Room for components is compiled for in these widths. With few observations a program
# takes longer to compile than its moves take in the wider one.
_WIDTHS = (8, 16, 32, 64, 128, 256)
_FEW_PLACES, _FIRST_WIDTH = 2**16, 16
# Where entries take long, or are not likely to help, no more are waited for.
_MANY_PLACES, _LEAST_PATIENCE = 2**21, 3


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
        path. No more than three entries are waited for with many observations, where
        they take long, and at a penalty that follows one without a new best.
    """

    # The smallest are for data without noise: a path ends where they do not help.
    penalties: tuple[float, ...] = (
        *(8.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.05),
        *(1e-2, 1e-3, 1e-4, 1e-6),
    )
    max_components: int = 64
    smooth: bool = True
    sweeps: int = 4
    patient_entries: int = 8
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


class WalkState(NamedTuple):
    """What a walk that was left off goes on from.

    Attributes
    ----------
    facts
        What JSON can say.
    factors, best
        Where the components are, and where they were at the best point.
    """

    facts: Mapping[str, Any]
    factors: tuple[FloatArray, ...]
    best: tuple[FloatArray, ...]


def follow_path(
    data: CompletionData,
    mode_dims: tuple[int, ...],
    settings: PathSettings,
    *,
    seed: int,
    go_on: Callable[["Walk"], bool] | None = None,
    state: WalkState | None = None,
) -> Path:
    """Walk the path; it begins with nothing learned, or where it was left off.

    Parameters
    ----------
    go_on
        Asked at every point; the path ends where it says no.
    """
    walk = Walk(data, mode_dims, settings, seed, state)
    while not walk.is_over and (go_on is None or go_on(walk)):
        walk.move()
    return walk.path


class Walk:
    """The host's side of a path: which move comes next."""

    def __init__(
        self,
        data: CompletionData,
        mode_dims: tuple[int, ...],
        settings: PathSettings,
        seed: int,
        state: WalkState | None = None,
    ) -> None:
        self.path = Path()
        self.is_over = False
        self._data, self._settings = data, settings
        self._mode_dims = mode_dims
        self._rng = np.random.default_rng(seed)
        # Which penalty, and whether its sweep without an entry is done.
        self._number, self._swept = 0, False
        # Entries and penalties since a new best point, that before this penalty.
        self._unhelpful, self._worse, self._best_before = 0, 0, 0
        few = data.layout.place_count <= _FEW_PLACES
        first = min(_FIRST_WIDTH if few else 1, settings.max_components)
        self._many = data.layout.place_count > _MANY_PLACES
        self._width = _wide_enough(first, settings.max_components)
        self._stage = nothing(data, self._width)
        if state is None:
            self._note(math.inf)
        else:
            self._restore(state)

    def state(self) -> WalkState:
        """What `follow_path` goes on from."""
        stage, path = self._stage, self.path
        facts = {
            "points": [list(point) for point in path.points],
            "best": path.best,
            "number": self._number,
            "swept": self._swept,
            "unhelpful": self._unhelpful,
            "worse": self._worse,
            "best_before": self._best_before,
            "learned": int(stage.learned),
            "correlations": np.asarray(stage.correlations).tolist(),
            "losses": [float(each) for each in (stage.train_loss, stage.heldout_loss)],
            "objective": float(stage.objective),
            "draws": self._rng.bit_generator.state,
        }
        factors = split_rows(np.asarray(stage.tall), self._mode_dims)
        return WalkState(facts, factors, path.factors)

    def _restore(self, state: WalkState) -> None:
        facts, dtype = state.facts, self._data.offset.dtype
        self.path = Path(points_of(facts["points"]), facts["best"], state.best)
        self._number, self._swept = facts["number"], facts["swept"]
        self._unhelpful, self._worse = facts["unhelpful"], facts["worse"]
        self._best_before = facts["best_before"]
        self._rng.bit_generator.state = facts["draws"]
        self._width = state.factors[0].shape[1]
        numbers = (facts["objective"], *facts["losses"])
        self._stage = Stage(
            jnp.asarray(stack_rows(state.factors, len(self._stage.tall)), dtype),
            jnp.asarray(facts["learned"], jnp.int32),
            jnp.asarray(facts["correlations"], dtype),
            *(jnp.asarray(each, dtype) for each in numbers),
        )

    def move(self) -> None:
        """Sweep at a new penalty, or let a component enter; then choose what is next.

        Components enter at a penalty while they help.
        """
        count, before = int(self._stage.learned), self.path.best
        if not self._swept:
            self._swept, self._unhelpful, self._best_before = True, 0, before
            if count:
                self._take(enter=False, sweeps=2 * self._settings.sweeps)
                return
        if count < self._settings.max_components:
            self._take(enter=True, sweeps=self._settings.sweeps)
            self._unhelpful = 0 if self.path.best > before else self._unhelpful + 1
            entered = int(self._stage.learned) > count
            if entered and self._unhelpful < self._patience():
                return
        self._next_penalty()

    def _patience(self) -> int:
        patience = self._settings.patient_entries
        hasty = self._many or self._worse > 0
        return min(patience, _LEAST_PATIENCE) if hasty else patience

    def _next_penalty(self) -> None:
        self._worse = 0 if self.path.best > self._best_before else self._worse + 1
        tired = self._worse >= self._settings.patient_penalties and self.path.best > 0
        self._number, self._swept = self._number + 1, False
        self.is_over = tired or self._number == len(self._settings.penalties)

    def _take(self, *, enter: bool, sweeps: int) -> None:
        penalty = self._settings.penalties[self._number]
        count = int(self._stage.learned)
        if enter and count == self._width:
            self._width = _wide_enough(count + 1, self._settings.max_components)
            self._stage = widened(self._stage, self._width)
        dtype = self._data.offset.dtype
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

    def _directions(self) -> Array:
        matrices = [
            self._rng.standard_normal((dim, DIRECTIONS)) for dim in self._mode_dims
        ]
        return jnp.asarray(stack_rows(matrices, len(self._stage.tall)))

    def _note(self, penalty: float) -> None:
        stage, path = self._stage, self.path
        point = PathPoint(
            penalty,
            int(stage.learned),
            float(stage.train_loss),
            float(stage.heldout_loss),
            tuple(np.asarray(stage.correlations).tolist()),
        )
        path.points.append(point)
        if path.best < 0 or point.heldout_loss < path.best_point.heldout_loss:
            path.best = len(path.points) - 1
            tall = np.asarray(stage.tall)[:, : point.rank]
            path.factors = split_rows(tall, self._mode_dims)


def points_of(rows: list[list[Any]]) -> list[PathPoint]:
    """Points as JSON gives them back."""
    return [PathPoint._make((*row[:-1], tuple(row[-1]))) for row in rows]


def _wide_enough(count: int, most: int) -> int:
    return next(width for width in (*_WIDTHS, most) if width >= count)
