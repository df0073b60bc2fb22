"""The one compiled loop under every solver and every number of runs."""

import math
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rankrise._errors import InputError
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._contract import AbstractSolver
from rankrise.trajectories import AbstractObservable

RUNNING, CONVERGED, DIVERGED, FLAT = range(4)
# Saves one call of the compiled loop can record: its buffers have this length, and
# how many are used is an argument, so any schedule runs on one compilation.
SAVES_A_CHUNK = 16


@dataclass(frozen=True)
class Stop:
    """When a run ends before its step limit.

    Attributes
    ----------
    loss_tolerance, patience
        Converged: the loss was below the tolerance for so many steps in a row. None
        never converges.
    flat_steps
        Stopped: the selected observable (`solve`'s `select`) had no new minimum for
        so many steps. A run rests long on plateaus between two rises, so give it
        thousands.
    """

    loss_tolerance: float | None = None
    patience: int = 100
    flat_steps: int | None = None

    def __post_init__(self) -> None:
        tolerance = self.loss_tolerance
        if tolerance is not None and not (tolerance >= 0 and math.isfinite(tolerance)):
            raise InputError(
                f"The loss tolerance is {tolerance}; it must be finite and not "
                "negative."
            )
        for name in ("patience", "flat_steps"):
            steps = getattr(self, name)
            if steps is not None and steps < 1:
                raise InputError(f"{name} is {steps}; it must be at least 1.")


class Plan(eqx.Module):
    """What stays the same through a run."""

    problem: AbstractProblem
    solver: AbstractSolver[Any]
    observables: tuple[AbstractObservable, ...]
    stop: Stop = eqx.field(static=True)
    select: str | None = eqx.field(static=True)
    # Apart from `stop`, whose numbers are compiled in: this one follows the data.
    loss_tolerance: Float[Array, ""]


def make_plan(
    problem: AbstractProblem,
    solver: AbstractSolver[Any],
    observables: tuple[AbstractObservable, ...],
    stop: Stop,
    select: str | None,
) -> Plan:
    """What stays the same, arranged so that new data need no new compilation."""
    tolerance = -jnp.inf if stop.loss_tolerance is None else stop.loss_tolerance
    return Plan(
        problem=problem,
        solver=solver,
        observables=observables,
        stop=replace(stop, loss_tolerance=None),
        select=select,
        loss_tolerance=jnp.asarray(tolerance, problem.values.dtype),
    )


class Best(eqx.Module):
    """The factorization with the smallest selected observable so far."""

    model: AbstractFactorization
    value: Float[Array, ""]
    step: Int[Array, ""]


class RunState(eqx.Module):
    """What changes through a run. A stopped run's state no longer changes."""

    model: AbstractFactorization
    solver_state: Any
    step: Int[Array, ""]
    time: Float[Array, ""]
    time_lost: Float[Array, ""]
    loss: Float[Array, ""]
    below: Int[Array, ""]
    outcome: Int[Array, ""]
    evaluations: Int[Array, ""]
    best: Best | None


def begin(plan: Plan, model: AbstractFactorization) -> RunState:
    """The state before the first step."""
    dtype = plan.problem.values.dtype
    zero, count = jnp.zeros((), dtype), jnp.zeros((), jnp.int32)
    best = None
    if plan.select is not None:
        best = Best(model, jnp.full((), jnp.inf, dtype), count)
    return RunState(
        model=model,
        solver_state=plan.solver.init(plan.problem, model),
        step=count,
        time=zero,
        time_lost=zero,
        loss=jnp.full((), jnp.inf, dtype),
        below=count,
        outcome=jnp.full((), RUNNING, jnp.int32),
        evaluations=count,
        best=best,
    )


@eqx.filter_jit
def advance(
    plan: Plan,
    states: RunState,
    targets: Int[Array, " k"],
    saved: Bool[Array, " k"],
    count: Int[Array, ""],
) -> tuple[RunState, dict[str, Any]]:
    """Move runs to each of the first `count` target steps; measure at the saved ones.

    `states` is one run's, or has a leading axis of runs. The measurements have an axis
    of length `SAVES_A_CHUNK` for the targets, after that of runs.
    """

    def one(state: RunState) -> tuple[RunState, dict[str, Any]]:
        return _advance_one(plan, state, targets, saved, count)

    return one(states) if states.step.ndim == 0 else jax.vmap(one)(states)


def _advance_one(
    plan: Plan,
    state: RunState,
    targets: Int[Array, " k"],
    saved: Bool[Array, " k"],
    count: Int[Array, ""],
) -> tuple[RunState, dict[str, Any]]:
    shapes = jax.eval_shape(lambda: _measure(plan, state))
    buffers = jax.tree.map(
        lambda leaf: jnp.zeros((SAVES_A_CHUNK, *leaf.shape), leaf.dtype), shapes
    )

    def unfinished(carry: tuple[RunState, Int[Array, ""]]) -> Bool[Array, ""]:
        state, target = carry
        return (state.step < target) & (state.outcome == RUNNING)

    def step(
        carry: tuple[RunState, Int[Array, ""]],
    ) -> tuple[RunState, Int[Array, ""]]:
        state, target = carry
        return _step(plan, state), target

    def record(
        state: RunState, buffers: dict[str, Any], i: Int[Array, ""]
    ) -> tuple[RunState, dict[str, Any]]:
        measured = _measure(plan, state)
        buffers = jax.tree.map(
            lambda buffer, value: buffer.at[i].set(value), buffers, measured
        )
        return _keep_best(plan, state, measured), buffers

    def to_target(
        i: Int[Array, ""], carry: tuple[RunState, dict[str, Any]]
    ) -> tuple[RunState, dict[str, Any]]:
        state, buffers = carry
        state, _ = jax.lax.while_loop(unfinished, step, (state, targets[i]))
        return jax.lax.cond(
            saved[i],
            lambda: record(state, buffers, i),
            lambda: (state, buffers),
        )

    state, buffers = jax.lax.fori_loop(0, count, to_target, (state, buffers))
    return state, buffers


def _step(plan: Plan, state: RunState) -> RunState:
    taken = plan.solver.step(plan.problem, state.model, state.solver_state)
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(taken.model)]
    healthy = jnp.isfinite(taken.loss) & jnp.stack(finite).all()
    below = jnp.where(taken.loss < plan.loss_tolerance, state.below + 1, 0)
    converged = below >= plan.stop.patience
    outcome = jnp.where(converged, CONVERGED, RUNNING)
    outcome = jnp.where(healthy, outcome, DIVERGED).astype(jnp.int32)
    moves = outcome == RUNNING
    time, time_lost = _add(state.time, state.time_lost, taken.duration)
    # The state before a step that ends the run is kept: a diverged run still has
    # its last finite factors.
    kept = jax.tree.map(
        lambda new, old: jnp.where(moves, new, old),
        (taken.model, taken.state, time, time_lost),
        (state.model, state.solver_state, state.time, state.time_lost),
    )
    return RunState(
        model=kept[0],
        solver_state=kept[1],
        step=state.step + moves.astype(jnp.int32),
        time=kept[2],
        time_lost=kept[3],
        loss=taken.loss,
        below=below,
        outcome=outcome,
        evaluations=state.evaluations + 1,
        best=state.best,
    )


def _add(
    total: Float[Array, ""], lost: Float[Array, ""], term: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    # Learning rates span ten orders of magnitude, so a plain float32 sum would stand
    # still: carry what rounding drops (Kahan).
    corrected = term - lost
    new_total = total + corrected
    return new_total, (new_total - total) - corrected


def _measure(plan: Plan, state: RunState) -> dict[str, Any]:
    measured = {
        observable.name: observable(plan.problem, state.model)
        for observable in plan.observables
    }
    return {**measured, "step": state.step, "time": state.time}


def _keep_best(plan: Plan, state: RunState, measured: dict[str, Any]) -> RunState:
    if plan.select is None or state.best is None:
        return state
    value = measured[plan.select]
    better = value < state.best.value
    new = Best(state.model, value, state.step)
    best = jax.tree.map(lambda a, b: jnp.where(better, a, b), new, state.best)
    outcome = state.outcome
    if plan.stop.flat_steps is not None:
        flat = (state.step - best.step >= plan.stop.flat_steps) & (outcome == RUNNING)
        outcome = jnp.where(flat, FLAT, outcome).astype(jnp.int32)
    return eqx.tree_at(lambda s: (s.best, s.outcome), state, (best, outcome))
