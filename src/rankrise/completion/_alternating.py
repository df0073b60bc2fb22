"""Alternating least squares with a penalty, and components that enter one by one."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rankrise._typing import Values
from rankrise.completion._layout import Layout, Places, numbered
from rankrise.completion._neighbours import (
    neighbour_correlations,
    penalties,
    penalties_by_mode,
    solve_rows,
    spread_along,
    within,
)
from rankrise.completion._non_negative import solve_non_negative
from rankrise.completion._normal_equations import (
    Block,
    Tall,
    Targets,
    normal_equations,
    over_blocks,
    own_rows,
    pulls,
)
from rankrise.completion._parabola import parabola
from rankrise.losses import AbstractLoss

# Directions that are tried for a component to enter with.
DIRECTIONS = 4
# How often a direction is turned towards the pull.
_TURNS = 10
# A component enters with this share of the norm it is drawn to.
_ENTRY_SHARE = 0.3
# A component this much smaller than the largest is none.
_VANISHED = 1e-3
# Sweeps end when the objective falls by less than this share.
_TOLERANCE = 1e-4


class CompletionData(eqx.Module):
    """Observed entries, and how predictions of them are judged.

    Attributes
    ----------
    targets
        Group by group of the layout's chunks.
    offset
        Added to the sum of components before the loss.
    heldout
        In the chunks of the first mode: the weight of an observation that is held out,
        else zero.
    totals
        Sums of the weights, of those and of the ones held out.
    """

    layout: Layout
    targets: tuple[Targets, ...]
    offset: Float[Array, ""]
    heldout: Float[Array, "1 chunks length"]
    totals: tuple[Float[Array, ""], Float[Array, ""]]
    loss: AbstractLoss
    non_negative: bool = eqx.field(static=True)


def completion_data(
    layout: Layout,
    places: Places,
    values: Values,
    *,
    weights: Values,
    heldout: Values,
    offset: float,
    loss: AbstractLoss,
    non_negative: bool,
) -> CompletionData:
    """What `advance` works on, of a number for every observation."""
    spread = zip(places.spread(values), places.spread(weights), strict=True)
    return CompletionData(
        layout=layout,
        targets=tuple(Targets(*pair) for pair in spread),
        offset=jnp.asarray(offset, values.dtype),
        heldout=places.spread_once(heldout),
        totals=(jnp.asarray(np.sum(weights)), jnp.asarray(np.sum(heldout))),
        loss=loss,
        non_negative=non_negative,
    )


class Stage(NamedTuple):
    """Where the components are.

    Attributes
    ----------
    tall
        All factor matrices; columns beyond the `learned` ones are zero, the others'
        norms fall.
    correlations
        Between neighbouring rows, mode by mode.
    """

    tall: Tall
    learned: Int[Array, ""]
    correlations: Float[Array, " order"]
    objective: Float[Array, ""]
    train_loss: Float[Array, ""]
    heldout_loss: Float[Array, ""]


class Move(NamedTuple):
    """What is asked of `advance`.

    Attributes
    ----------
    enter
        Whether a component enters first.
    smooth
        Whether neighbouring rows may be taken to be alike.
    directions
        In which a component may enter, some as columns; they need not be normalized.
    """

    penalty: Float[Array, ""]
    enter: Bool[Array, ""]
    smooth: Bool[Array, ""]
    sweeps: Int[Array, ""]
    directions: Float[Array, "rows starts"]


class Measured(NamedTuple):
    """Sums of losses and of penalties, the mean losses, all of one place."""

    objective: Float[Array, ""]
    train_loss: Float[Array, ""]
    heldout_loss: Float[Array, ""]


@eqx.filter_jit
def advance(data: CompletionData, stage: Stage, move: Move) -> Stage:
    """Let a component enter, sweep over the modes, drop what vanished, measure."""
    found = neighbour_correlations(stage.tall, data.layout.modes)
    correlations = jnp.where(move.smooth, found, 0)
    tall = jax.lax.cond(
        move.enter,
        lambda: _entered(data, stage, correlations, move.directions),
        lambda: stage.tall,
    )
    end = _sweeps(data, tall, correlations, move)
    learned = jnp.sum(_alive(end.norms), dtype=jnp.int32)
    tall = _sorted(end.tall, end.norms)
    return Stage(tall, learned, correlations, *end.measured)


def _measured(
    data: CompletionData, tall: Tall, correlations: Array, penalty: Array
) -> Measured:
    """One pass over the observations, in the chunks of the first mode."""
    layout, first = data.layout, jnp.zeros((), jnp.int32)
    matrix = own_rows(layout, tall, first, layout.groups[0].rows)
    targets = data.targets[0]

    def one(sums: tuple[Array, Array], _: Array, block: Block) -> tuple[Array, Array]:
        values, weights, heldout = block.numbers
        here = block.predictions(block.products(tall), matrix)
        losses = data.loss(here + data.offset, values)
        return sums[0] + jnp.sum(weights * losses), sums[1] + jnp.sum(heldout * losses)

    zero = jnp.zeros((), tall.dtype)
    numbers = (targets.values, targets.weights, data.heldout)
    sums = over_blocks(layout.groups[0], first, numbers, one, (zero, zero))
    sizes = penalties_by_mode(tall, layout.modes, correlations)
    means = [
        total / jnp.where(weight > 0, weight, 1)
        for total, weight in zip(sums, data.totals, strict=True)
    ]
    return Measured(sums[0] + penalty * jnp.sum(sizes), *means)


def _entered(
    data: CompletionData, stage: Stage, correlations: Array, directions: Array
) -> Tall:
    r"""With one more component, along the largest pull that was found.

    Each direction climbs the pull by alternating over the modes, as that of a component
    near zero does under gradient flow (Razin et al. 2021, Theorem 1); directions have
    norm one by their penalties $u^\top Q_\rho u$.
    """
    layout = data.layout
    modes = layout.modes
    order = len(layout.slots)
    residuals = [
        _residuals(data, stage.tall, group) for group in range(len(layout.groups))
    ]

    def turn(number: Array, carry: tuple[Tall, Array]) -> tuple[Tall, Array]:
        mode = number % order

        def of_group(group: int, place: Array, carry: tuple[Tall, Array]) -> Any:
            units, _ = carry
            dim, correlation = modes.dims[mode], correlations[mode]
            chunks = layout.groups[group]
            pull = pulls(chunks, place, units, residuals[group])
            towards = spread_along(pull, dim, correlation)
            if data.non_negative:
                towards = jnp.maximum(towards, 0)
            sizes = jnp.sqrt(jnp.maximum(penalties(towards, dim, correlation), 0))
            towards = towards / jnp.where(sizes > 0, sizes, 1)
            return _with_rows(layout, units, mode, towards), jnp.sum(
                pull * towards, axis=0
            )

        return layout.at_mode(mode, of_group, carry)

    zero = jnp.zeros_like(directions[0])
    turns = _TURNS * order
    units, strength = jax.lax.fori_loop(0, turns, turn, (directions, zero))
    best = jnp.argmax(strength)
    chosen = units[:, best]
    curvature = _curvature(data, stage.tall, chosen)
    drawn = jnp.maximum(strength[best], 0) / jnp.where(curvature > 0, curvature, 1)
    size = (_ENTRY_SHARE * drawn) ** (1 / order)
    return stage.tall.at[:, stage.learned].set(size * chosen, mode="drop")


def _with_rows(layout: Layout, tall: Tall, mode: Array, matrix: Array) -> Tall:
    """The tall matrix with a mode's factor matrix put in; no other rows are touched."""
    own = own_rows(layout, tall, mode, len(matrix))
    put = jnp.where(within(matrix, layout.modes.dims[mode]), matrix, own)
    start = layout.modes.starts[mode]
    return jax.lax.dynamic_update_slice_in_dim(tall, put, start, 0)


def _pull_and_weight(
    data: CompletionData, tall: Tall, matrix: Array, block: Block
) -> tuple[Array, Array]:
    """Half the negative slope of the loss, and the weight, where there is one."""
    values, weights = block.numbers
    here = data.offset + block.predictions(block.products(tall), matrix)
    weight, wanted = parabola(data.loss, here, values)
    weight = weight * weights
    return weight * (wanted - here), weight


def _residuals(
    data: CompletionData, tall: Tall, group: int
) -> Float[Array, "modes chunks length"]:
    """What pulls at a component that is near zero, in the chunks of a group."""
    layout, chunks, targets = (
        data.layout,
        data.layout.groups[group],
        data.targets[group],
    )
    members = jnp.asarray(layout.modes_in(group))

    def one_mode(number: Array, found: Array) -> Array:
        place = number.astype(jnp.int32)
        matrix = own_rows(layout, tall, members[place], chunks.rows)

        def one(found: Array, first: Array, block: Block) -> Array:
            pull, _ = _pull_and_weight(data, tall, matrix, block)
            starts = (place, first, jnp.int32(0))
            return jax.lax.dynamic_update_slice(found, pull[None], starts)

        numbers = (targets.values, targets.weights)
        return over_blocks(chunks, place, numbers, one, found)

    zeros = jnp.zeros_like(targets.values)
    return jax.lax.fori_loop(0, len(members), one_mode, zeros)


def _curvature(
    data: CompletionData, tall: Tall, chosen: Float[Array, " rows"]
) -> Float[Array, ""]:
    """Of the parabolas along one more component."""
    layout, targets = data.layout, data.targets[0]
    first = jnp.zeros((), jnp.int32)
    unit = chosen[:, None]
    matrix, own = (
        own_rows(layout, every, first, layout.groups[0].rows) for every in (tall, unit)
    )

    def one(total: Array, _: Array, block: Block) -> Array:
        _, weight = _pull_and_weight(data, tall, matrix, block)
        along = block.predictions(block.products(unit), own)
        return total + jnp.sum(weight * along**2)

    numbers = (targets.values, targets.weights)
    zero = jnp.zeros((), tall.dtype)
    return over_blocks(layout.groups[0], first, numbers, one, zero)


class _Sweeping(NamedTuple):
    """What goes from one sweep to the next; `settled` once nothing is left to drop."""

    tall: Tall
    norms: Float[Array, " components"]
    before: Float[Array, ""]
    measured: Measured
    number: Int[Array, ""]
    settled: Bool[Array, ""]


def _sweeps(
    data: CompletionData, tall: Tall, correlations: Array, move: Move
) -> _Sweeping:
    """Solve for one factor matrix after another until the objective is flat.

    What vanished is dropped at the end and losses are measured without it, as one more
    round, so that the program has only one pass that measures.
    """

    def running(at: _Sweeping) -> Array:
        now = at.measured.objective
        moved = at.before - now > _TOLERANCE * jnp.abs(now)
        return (at.number < move.sweeps) & ((at.number < 2) | moved)

    def one_round(at: _Sweeping) -> _Sweeping:
        sweeping = running(at)
        tall = jax.lax.cond(
            sweeping,
            lambda: swept(data, at.tall, correlations, move.penalty),
            lambda: jnp.where(_alive(at.norms), at.tall, 0),
        )
        squares = data.layout.modes.rows_of() @ tall**2
        norms = jnp.prod(jnp.sqrt(squares), axis=0)
        vanished = ~_alive(norms) & jnp.any(squares > 0, axis=0)
        measured = _measured(data, tall, correlations, move.penalty)
        before = jnp.where(sweeping, at.measured.objective, measured.objective)
        settled = ~sweeping | ~jnp.any(vanished)
        number = at.number + sweeping.astype(jnp.int32)
        return _Sweeping(tall, norms, before, measured, number, settled)

    infinite = jnp.full((), jnp.inf, tall.dtype)
    begin = _Sweeping(
        tall,
        jnp.zeros(tall.shape[1], tall.dtype),
        infinite,
        Measured(infinite, infinite, infinite),
        jnp.zeros((), jnp.int32),
        jnp.zeros((), bool),
    )
    return jax.lax.while_loop(lambda at: running(at) | ~at.settled, one_round, begin)


def _alive(norms: Float[Array, " components"]) -> Bool[Array, " components"]:
    return norms > _VANISHED * jnp.max(norms)


def swept(
    data: CompletionData, tall: Tall, correlations: Array, penalty: Array
) -> Tall:
    """One factor matrix after another."""
    layout = data.layout
    solve = solve_non_negative if data.non_negative else solve_rows

    def one_mode(mode: Array, tall: Tall) -> Tall:
        def of_group(group: int, place: Array, tall: Tall) -> Tall:
            chunks, targets = layout.groups[group], data.targets[group]
            matrix = own_rows(layout, tall, mode, chunks.rows)
            equations = normal_equations(
                chunks, place, tall, matrix, targets, data.offset, data.loss
            )
            dim = layout.modes.dims[mode]
            solved = solve(equations, penalty, dim, correlations[mode], matrix)
            return _with_rows(layout, tall, mode, solved)

        return layout.at_mode(mode, of_group, tall)

    tall = jax.lax.fori_loop(0, len(layout.slots), one_mode, tall)
    return _balanced(data, tall, correlations)


def _balanced(data: CompletionData, tall: Tall, correlations: Array) -> Tall:
    """Every component's penalty spread evenly over modes, where it is smallest."""
    modes = data.layout.modes
    roots = jnp.sqrt(jnp.maximum(penalties_by_mode(tall, modes, correlations), 0))
    there = jnp.all(roots > 0, axis=0)
    roots = jnp.where(there, roots, 1)
    shares = jnp.exp(jnp.mean(jnp.log(roots), axis=0)) / roots
    mode = jnp.minimum(modes.of_row, len(modes.dims) - 1)
    return tall * jnp.where(there, shares, 0)[mode]


def _sorted(tall: Tall, norms: Float[Array, " components"]) -> Tall:
    """Columns by falling norm, those of equal norm in order."""
    column = numbered(len(norms))
    first = (norms > norms[:, None]) | (
        (norms == norms[:, None]) & (column < column[:, None])
    )
    # A product with zeros and ones: XLA takes long to compile a sort.
    ranks = jnp.sum(first, axis=1, dtype=jnp.int32)
    return tall @ (ranks[:, None] == column).astype(tall.dtype)


def nothing(data: CompletionData, width: int) -> Stage:
    """No component yet, with room for so many, measured."""
    rows, order = len(data.layout.modes.of_row), len(data.layout.slots)
    dtype = data.offset.dtype
    empty = Stage(
        jnp.asarray(np.zeros((rows, width), dtype)),
        jnp.asarray(0, jnp.int32),
        jnp.asarray(np.zeros(order, dtype)),
        *(jnp.asarray(math.inf, dtype),) * 3,
    )
    move = Move(
        penalty=jnp.asarray(0, dtype),
        enter=jnp.asarray(False),
        smooth=jnp.asarray(False),
        sweeps=jnp.asarray(0, jnp.int32),
        directions=jnp.asarray(np.zeros((rows, DIRECTIONS), dtype)),
    )
    return advance(data, empty, move)


def widened(stage: Stage, width: int) -> Stage:
    """The same with room for more components."""
    tall = np.asarray(stage.tall)
    more = width - tall.shape[1]
    return stage._replace(tall=jnp.asarray(np.pad(tall, ((0, 0), (0, more)))))
