"""Which unlearned component escapes first, when, and where the others are by then."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int

from rankrise._compiling import lowered
from rankrise.limit._growth import (
    STAGES_A_STEP,
    Growth,
    advance,
    begin_growth,
    time_left,
)
from rankrise.limit._pull_field import AbstractPullField

FloatArray = npt.NDArray[np.floating]

# Components that move together, so that programs are the same for all numbers of them.
# A step costs in proportion to it, whoever of them still moves.
_BATCH = 64
_MOST_STEPS = 20_000
# Where nothing is pulled yet: multiples of the shortest time in which a component
# changes, before it is said that nothing will be.
_PATIENCE = 10.0 ** np.arange(1, 9)


class Escape(NamedTuple):
    """The first escape under a constant gradient.

    Attributes
    ----------
    component
        Which column; its vectors are those it had shortly before.
    time
        Since the gradient became constant.
    others
        All columns at that time; the escaped one is zero.
    time_left
        An upper bound of the time after this that each of the others would need.
    evaluations
        Velocities of all components; batches count by their share.
    """

    component: int
    time: float
    vectors: FloatArray
    others: FloatArray
    time_left: FloatArray
    evaluations: float


class _Advanced(NamedTuple):
    growth: Growth
    horizon: float
    leader: int | None
    vectors: FloatArray | None


class EscapeSearch:
    """Finds the first escape; counts what it costs."""

    def __init__(self, field: AbstractPullField, accuracy: float) -> None:
        self._field = field
        self._accuracy = accuracy
        self.evaluations = 0.0

    def first(self, vectors: FloatArray) -> Escape | None:
        """The first escape from these columns; None where no component is pulled."""
        start = self._begin(vectors)
        bounds = time_left(self._field.mode_dims, start)
        if np.isinf(bounds).all():
            return self._wait(start)
        # Where the bound is exact, rounding must not put the escape beyond it.
        horizon = float(bounds.min()) * (1 + 10 * self._accuracy)
        # Directions turn before components grow, so the leader need not have the
        # earliest bound; if it is not among these, the others' way shows it.
        found = self._batch(start, np.argsort(bounds)[:_BATCH], horizon)
        if found.leader is None:
            # The bound made this horizon, so the one it is from escapes before it.
            raise GrowthStalledError("the earliest bound of an escape was not kept")
        return self._settle(start, found)

    def lowered(self, vectors: FloatArray) -> list[Any]:
        """Programs that `first` needs for vectors of this size."""
        some = np.repeat(vectors[:, :1], _BATCH, axis=1)
        growth = begin_growth(some, np.zeros_like(some))
        return [
            lowered(_advance, self._field, growth, *self._numbers(growth, 1.0, 0)),
            lowered(critical_direction, self._field, vectors[:, 0]),
            lowered(_velocity, self._field, some),
        ]

    def _settle(self, start: Growth, found: _Advanced) -> Escape:
        """Take the others to the escape found, or to an earlier one on the way."""
        while True:
            assert found.leader is not None
            assert found.vectors is not None
            others = _put_zero(start, found.leader)
            moved = self._advance(others, found.horizon)
            if moved.leader is None:
                return Escape(
                    component=found.leader,
                    time=found.horizon,
                    vectors=found.vectors,
                    others=moved.growth.vectors,
                    time_left=time_left(self._field.mode_dims, moved.growth),
                    evaluations=self.evaluations,
                )
            found = moved

    def _wait(self, start: Growth) -> Escape | None:
        """A component pulled towards zero may pass it, turn round and escape later."""
        sizes = np.linalg.norm(start.vectors, axis=0)
        speeds = np.linalg.norm(start.velocity, axis=0)
        moving = (sizes > 0) & (speeds > 0)
        if not moving.any():
            return None
        shortest = float(np.min(sizes[moving] / speeds[moving]))
        for horizon in shortest * _PATIENCE:
            moved = self._advance(start, horizon)
            if moved.leader is not None:
                return self._settle(start, moved)
            if np.isfinite(time_left(self._field.mode_dims, moved.growth)).any():
                escape = self.first(moved.growth.vectors)
                return (
                    None
                    if escape is None
                    else escape._replace(time=escape.time + horizon)
                )
        return None

    def _begin(self, vectors: FloatArray) -> Growth:
        self.evaluations += 1
        return begin_growth(vectors, _velocities(self._field, vectors))

    def _advance(self, growth: Growth, horizon: float) -> _Advanced:
        """All components to the horizon, unless one escapes before it."""
        bounds = time_left(self._field.mode_dims, growth)
        # Those of one batch should need about as many steps.
        order = np.argsort(bounds)
        rest = order[growth.unfinished(horizon)[order]]
        for first in range(0, len(rest), _BATCH):
            found = self._batch(growth, rest[first : first + _BATCH], horizon)
            if found.leader is not None:
                return found
            growth = found.growth
        return _Advanced(growth, horizon, None, None)

    def _batch(
        self, growth: Growth, columns: npt.NDArray[np.integer], horizon: float
    ) -> _Advanced:
        """Some components to the horizon or the first escape among them."""
        count = growth.clock.shape[0]
        batch = np.resize(columns, _BATCH)
        part = jax.tree.map(lambda leaf: leaf[..., batch], growth)
        part, reached, steps = self._call(part, horizon, _MOST_STEPS)
        self.evaluations += steps * STAGES_A_STEP * len(batch) / count
        if steps == _MOST_STEPS:
            raise GrowthStalledError(
                f"the growth of {len(columns)} component(s) took {steps} steps"
            )
        if reached < horizon:
            found = _escaped(part, reached)
            assert found.leader is not None
            return found._replace(leader=int(batch[found.leader]), growth=growth)
        return _Advanced(_put(growth, batch, part), horizon, None, None)

    def _call(
        self, growth: Growth, horizon: float, max_steps: int
    ) -> tuple[Growth, float, int]:
        numbers = self._numbers(growth, horizon, max_steps)
        moved, reached, steps = _advance(self._field, growth, *numbers)
        found = np.asarray(reached)
        # The horizon comes back in the precision of the problem.
        is_sooner = found < np.asarray(horizon, found.dtype)
        return _on_host(moved), float(found) if is_sooner else horizon, int(steps)

    def _numbers(
        self, growth: Growth, horizon: float, max_steps: int
    ) -> tuple[Array, Array, Array]:
        dtype = growth.clock.dtype
        return (
            jnp.asarray(horizon, dtype),
            jnp.asarray(self._accuracy, dtype),
            jnp.asarray(max_steps, jnp.int32),
        )


class GrowthStalledError(RuntimeError):
    """Unlearned components could not be followed to an escape."""


@eqx.filter_jit
def _advance(
    field: AbstractPullField,
    growth: Growth,
    horizon: Float[Array, ""],
    accuracy: Float[Array, ""],
    max_steps: Int[Array, ""],
) -> tuple[Growth, Float[Array, ""], Int[Array, ""]]:
    return advance(field, growth, horizon, accuracy, max_steps)


@eqx.filter_jit
def _velocity(field: AbstractPullField, vectors: Any) -> Float[Array, "rows batch"]:
    return field.velocity(vectors)


def _velocities(field: AbstractPullField, vectors: FloatArray) -> FloatArray:
    """Velocities of any number of components, batch by batch."""
    count = vectors.shape[1]
    filled = np.pad(vectors, ((0, 0), (0, -count % _BATCH)))
    parts = np.split(filled, range(_BATCH, filled.shape[1], _BATCH), axis=1)
    moved = [np.asarray(_velocity(field, part)) for part in parts]
    return np.concatenate(moved, axis=1)[:, :count]


@eqx.filter_jit
def critical_direction(
    field: AbstractPullField, vector: Any
) -> tuple[Float[Array, " rows"], Float[Array, ""]]:
    r"""Where the direction of an escaping component ends, and the pull there.

    Ascends $\gamma = \langle -G, \otimes_n \hat w^n \rangle$ by
    $(1 - 1/N) \hat w^n - G \times_{m \neq n} \hat w^m / (N \gamma)$, normalized, as the
    direction of a growing component does in ever less time.
    """
    order = len(field.mode_dims)
    mode = np.repeat(np.arange(order), field.mode_dims)
    # Sums over a mode by a product: a program of parts would be several times larger.
    same = jnp.asarray(mode[:, None] == mode, vector.dtype)
    tolerance = 100 * float(np.finfo(vector.dtype).eps)

    def normalized(vector: Array) -> Array:
        return vector / jnp.sqrt(same @ vector**2)

    def unfinished(carry: Any) -> Array:
        _, _, moved, steps = carry
        return (moved > tolerance) & (steps < _MOST_STEPS)

    def ascend(carry: Any) -> Any:
        units, _, _, steps = carry
        slope = field.velocity(units[:, None])[:, 0]
        pull = jnp.sum(slope * units) / order
        change = (slope / pull - units) / order
        return normalized(units + change), pull, jnp.linalg.norm(change), steps + 1

    zero = jnp.zeros((), vector.dtype)
    begin = (normalized(vector), zero, zero + jnp.inf, jnp.zeros((), jnp.int32))
    units, pull, _, _ = jax.lax.while_loop(unfinished, ascend, begin)
    return units, pull


def unit_blocks(vectors: FloatArray, ends: npt.NDArray[np.integer]) -> FloatArray:
    """Columns with every mode's vector normalized."""
    blocks = np.split(vectors, ends)
    return np.concatenate([b / np.linalg.norm(b, axis=0) for b in blocks])


def _escaped(growth: Growth, time: float) -> _Advanced:
    leader = int(np.argmin(np.asarray(growth.escape)))
    return _Advanced(growth, time, leader, np.asarray(growth.vectors)[:, [leader]])


def _on_host(growth: Growth) -> Growth:
    host: Growth = jax.tree.map(np.asarray, growth)
    return host


def _put(growth: Growth, columns: npt.NDArray[np.integer], part: Growth) -> Growth:
    def put(whole: FloatArray, piece: FloatArray) -> FloatArray:
        changed = whole.copy()
        changed[..., columns] = piece
        return changed

    changed: Growth = jax.tree.map(put, growth, part)
    return changed


def _put_zero(growth: Growth, column: int) -> Growth:
    """The same with one component taken out, which then stays at zero."""
    vectors, velocity = growth.vectors.copy(), growth.velocity.copy()
    vectors[:, column], velocity[:, column] = 0, 0
    return eqx.tree_at(lambda g: (g.vectors, g.velocity), growth, (vectors, velocity))
