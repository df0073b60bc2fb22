"""One warm path of penalties from large to small, on which components enter.

A large penalty lets few components live, a smaller one more: so the number of
components is found on the way, and entries that are held out say where the path was
best.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from rankrise._typing import Values
from rankrise.completion._alternating import Stage
from rankrise.completion._arrangement import Rows
from rankrise.completion._compiled import kernels

# The smallest are for data without noise: a path ends where they do not help.
PENALTIES = (8.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.05, 1e-2, 1e-3, 1e-4, 1e-6)
# Sweeps over the modes, at most, after a component entered; twice as many after the
# penalty fell.
_SWEEPS = 4
# Entries without a new least held-out loss before the penalty falls: fewer with many
# observations, where they take long, and at a penalty after one without a new least.
_PATIENCE, _LEAST_PATIENCE = 8, 3
_MANY_OBSERVATIONS = 700_000
# Penalties without one before the path ends.
_PATIENT_PENALTIES = 3
# Where many entries are held out a path ends once their loss is larger than the least
# by so many standard errors of the difference or, since a few that run off hide that,
# by so many times.
_CLEARLY, _RUINED = 3.0, 1.5
# What a walk counts, and keeps where it is left off.
_COUNTS = (
    *("_number", "_swept", "_unhelpful", "_worse", "_best_before", "_rising"),
    "is_over",
)


class PathPoint(NamedTuple):
    """What was measured where a path came to rest, in standardized units."""

    penalty: float
    components: int
    train_loss: float
    heldout_loss: float
    correlations: tuple[float, ...]


@dataclass
class Path:
    """A path and the best point on it.

    Attributes
    ----------
    factors
        Factors of the best point: stacked while the path goes on.
    """

    points: list[PathPoint] = field(default_factory=list)
    best: int = -1
    factors: Values = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def best_point(self) -> PathPoint:
        """Where the held-out loss was smallest."""
        return self.points[self.best]

    def facts(self) -> dict[str, Any]:
        """What JSON can say."""
        return {"points": [list(point) for point in self.points], "best": self.best}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any], factors: Values) -> "Path":
        """The same path again."""
        points = [PathPoint._make((*p[:-1], tuple(p[-1]))) for p in facts["points"]]
        return cls(points, facts["best"], factors)


class WalkState(NamedTuple):
    """What a walk that was left off goes on from.

    Attributes
    ----------
    facts
        What JSON can say.
    factors, best
        Stacked, where the components are and where they were at the best point.
    """

    facts: Mapping[str, Any]
    factors: Values
    best: Values


@runtime_checkable
class Alternates(Protocol):
    """What a walk moves by: alternating least squares, as `Alternation` has them."""

    rows: Rows

    @property
    def observed(self) -> int: ...
    @property
    def is_spectral(self) -> bool: ...
    @property
    def shows_much(self) -> bool: ...
    def nothing(self) -> Stage: ...
    def advance(
        self,
        stage: Stage,
        penalty: float,
        *,
        sweeps: int,
        smooth: bool,
        directions: Values | None = None,
        entering: Values | None = None,
    ) -> Stage: ...
    def spectral(self, factors: Values, seed: int) -> Values: ...
    def heldout_gain(self, factors: Values, over: Values) -> tuple[float, float]: ...


class Walk:
    """Moves along a path, one after another; it begins with nothing learned."""

    def __init__(
        self,
        alternation: Alternates,
        *,
        penalties: tuple[float, ...] = PENALTIES,
        max_components: int = 64,
        smooth: bool = True,
        seed: int = 0,
        state: WalkState | None = None,
    ) -> None:
        self.path = Path()
        self.is_over = False
        self._alternation, self._penalties = alternation, penalties
        self._most, self._smooth = max_components, smooth
        self._rng = np.random.default_rng(seed)
        many = alternation.observed > _MANY_OBSERVATIONS
        self._patience = _LEAST_PATIENCE if many else _PATIENCE
        # Which penalty, and whether its sweep without an entry is done.
        self._number, self._swept = 0, False
        # Whether the last spectrum had something above its noise.
        self._rising, self._seed = True, seed
        # Entries and penalties since a new best point, and that before this penalty.
        self._unhelpful, self._worse, self._best_before = 0, 0, 0
        if state is None:
            self._stage = alternation.nothing()
            self._note(math.inf)
        else:
            self._restore(state)

    @property
    def share(self) -> float:
        """What is done of the penalties, of which the last may not be needed."""
        return self._number / len(self._penalties)

    def state(self) -> WalkState:
        """What another walk goes on from."""
        factors, correlations, *losses = self._stage
        facts = {
            **self.path.facts(),
            **{name: getattr(self, name) for name in _COUNTS},
            "stage": [correlations.tolist(), *losses],
            "draws": self._rng.bit_generator.state,
        }
        return WalkState(facts, factors, self.path.factors)

    def _restore(self, state: WalkState) -> None:
        self.path = Path.of_facts(state.facts, state.best)
        for name in _COUNTS:
            setattr(self, name, state.facts[name])
        correlations, *losses = state.facts["stage"]
        self._stage = Stage(state.factors, np.array(correlations, np.float64), *losses)
        self._rng.bit_generator.state = state.facts["draws"]

    def move(self) -> None:
        """Sweep at a new penalty, or let a component enter; then choose what is next.

        Components enter at a penalty while they help.
        """
        count, before = self._stage.components, self.path.best
        best = self.path.factors
        if not self._swept:
            self._swept, self._unhelpful, self._best_before = True, 0, before
            if count:
                self._advance(2 * _SWEEPS)
                return
        if count < self._most and self._alternation.is_spectral:
            # Once what is left is noise it stays so.
            if self._rising and self._take_spectral():
                return
        elif count < self._most:
            rows = int(self._alternation.rows.starts[-1])
            directions = self._rng.standard_normal((rows, kernels.DIRECTIONS))
            self._advance(_SWEEPS, directions=directions)
            helped = self.path.best > before and self._is_gain(over=best)
            entered = max(self._stage.components - count, 0)
            self._unhelpful = 0 if helped else self._unhelpful + max(entered, 1)
            patience = _LEAST_PATIENCE if self._worse else self._patience
            if entered and self._unhelpful < patience and not self._is_ruined():
                return
        self._next_penalty()

    def _next_penalty(self) -> None:
        self._worse = 0 if self.path.best > self._best_before else self._worse + 1
        tired = self._worse >= _PATIENT_PENALTIES and self.path.best > 0
        # A smaller penalty makes it no better.
        tired = tired or self._is_ruined() or self._is_clearly_worse()
        self._number, self._swept = self._number + 1, False
        self.is_over = tired or self._number == len(self._penalties)

    def _is_gain(self, *, over: Values) -> bool:
        """Whether the new best point is one by more than its standard error."""
        if not self._alternation.shows_much:
            return True
        gain, error = self._alternation.heldout_gain(self._stage.factors, over)
        return gain > error

    def _is_clearly_worse(self) -> bool:
        path = self.path
        is_past = 0 < path.best < len(path.points) - 1
        if not (is_past and self._alternation.shows_much):
            return False
        gain, error = self._alternation.heldout_gain(self._stage.factors, path.factors)
        return -gain > _CLEARLY * error

    def _is_ruined(self) -> bool:
        best = self.path.best_point.heldout_loss
        return (
            self._alternation.shows_much
            and self.path.best > 0
            and self._stage.heldout_loss > _RUINED * best
        )

    def _take_spectral(self) -> bool:
        """Let all components enter that rise above noise; whether there were any."""
        entering = self._alternation.spectral(self._stage.factors, self._seed)
        count = min(entering.shape[1], self._most - self._stage.components)
        self._rising = count > 0
        if self._rising:
            self._advance(2 * _SWEEPS, entering=entering[:, :count])
        elif not self._stage.components:
            self._number = len(self._penalties) - 1
        return self._rising

    def _advance(self, sweeps: int, **entering: Any) -> None:
        penalty = self._penalties[self._number]
        stage = self._alternation.advance(
            self._stage, penalty, sweeps=sweeps, smooth=self._smooth, **entering
        )
        if np.isfinite(stage.factors).all() and math.isfinite(stage.train_loss):
            self._stage = stage
            self._note(penalty)

    def _note(self, penalty: float) -> None:
        stage, path = self._stage, self.path
        losses = stage.train_loss, stage.heldout_loss
        correlations = tuple(stage.correlations.tolist())
        path.points.append(PathPoint(penalty, stage.components, *losses, correlations))
        if path.best < 0 or stage.heldout_loss < path.best_point.heldout_loss:
            path.best = len(path.points) - 1
            path.factors = stage.factors
