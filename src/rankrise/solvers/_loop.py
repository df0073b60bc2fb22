"""The one compiled loop under every solver and every number of runs."""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rankrise._devices import alike, whole
from rankrise._errors import InputError
from rankrise._tracing import compiling
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._contract import AbstractSolver, Step
from rankrise.trajectories import Observable

# Saves one call of the compiled loop can record: its buffers have this length, and
# how many are used is an argument, so any schedule runs on one compilation.
SAVES_A_CHUNK = 16


class Code(IntEnum):
    """How a run stands, in a form that compiled code can hold."""

    RUNNING = 0
    CONVERGED = 1
    STATIONARY = 2
    FLAT = 3
    STALLED = 4
    DIVERGED = 5


@dataclass(frozen=True, kw_only=True)
class Stop:
    """When a run ends before its limit of steps or time.

    Attributes
    ----------
    loss_tolerance
        Converged: the loss was below it for `patience` steps in a row. None never
        converges.
    gradient_tolerance
        Converged: the norm of the gradient by all parameters was below it for
        `patience` steps in a row. The gradient is small at a near-zero start too, so
        the tolerance must lie below what it is there.
    patience
        Steps in a row that a run must spend below a tolerance.
    flat_steps
        Stopped: the selected observable (`Recording.select`) had no new minimum for
        this many steps. A run rests long on plateaus between two rises, so give it
        thousands.

    Examples
    --------
    >>> import jax, rankrise as rr
    >>> target = rr.synthetic.random_target((4, 4, 4), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 4, 4), 40, seed=0)
    >>> seen = rr.synthetic.observe(target, indices, seed=0)
    >>> problem = rr.CompletionProblem.from_observations(seen)
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero((4, 4, 4), 3, init_scale=0.1, key=key)
    >>> stop = rr.Stop(loss_tolerance=1e-3, patience=1)
    >>> rr.solve(problem, start, stop=stop, max_steps=1000).result == "converged"
    True
    """

    loss_tolerance: float | None = None
    gradient_tolerance: float | None = None
    patience: int = 100
    flat_steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("loss_tolerance", "gradient_tolerance"):
            tolerance = getattr(self, name)
            if tolerance is None or (tolerance >= 0 and math.isfinite(tolerance)):
                continue
            raise InputError(
                f"The {name.replace('_', ' ')} is {tolerance}; it must be finite and "
                "not negative."
            )
        for name in ("patience", "flat_steps"):
            steps = getattr(self, name)
            if steps is not None and steps < 1:
                raise InputError(f"{name} is {steps}; it must be at least 1.")


class Plan(eqx.Module):
    """What stays the same through a run."""

    problem: AbstractProblem
    solver: AbstractSolver[Any]
    observables: tuple[Observable, ...]
    select: str | None = eqx.field(static=True)
    loss_tolerance: Float[Array, ""]
    gradient_tolerance: Float[Array, ""] | None
    patience: Int[Array, ""]
    flat_steps: Int[Array, ""] | None


def make_plan(
    problem: AbstractProblem,
    solver: AbstractSolver[Any],
    observables: tuple[Observable, ...],
    stop: Stop,
    select: str | None,
) -> Plan:
    """What stays the same, arranged so that new numbers need no new compilation."""
    loss, gradient = stop.loss_tolerance, stop.gradient_tolerance
    flat, dtype = stop.flat_steps, problem.values.dtype
    return Plan(
        problem=problem,
        solver=solver,
        observables=observables,
        select=select,
        loss_tolerance=jnp.asarray(-jnp.inf if loss is None else loss, dtype),
        gradient_tolerance=None if gradient is None else jnp.asarray(gradient, dtype),
        patience=jnp.asarray(stop.patience, jnp.int32),
        flat_steps=None if flat is None else jnp.asarray(flat, jnp.int32),
    )


class Targets(eqx.Module):
    """Where the next saves are: each is reached at its step or at its time.

    Attributes
    ----------
    steps, times
        Arrays of length `SAVES_A_CHUNK`; the first `count` are in use.
    """

    steps: Int[Array, " k"]
    times: Float[Array, " k"]
    count: Int[Array, ""]


class Best(eqx.Module):
    """The factorization with the smallest selected observable so far."""

    model: AbstractFactorization
    value: Float[Array, ""]
    step: Int[Array, ""]


class RunState(eqx.Module):
    """What changes through a run. A stopped run's state no longer changes.

    Attributes
    ----------
    time, time_lost
        The clock of gradient flow, and what rounding added to it.
    loss
        Before the last step.
    resting
        How many steps in a row the loss or the gradient was below its tolerance.
    position
        How many of the current targets are recorded.
    evaluations, rejected
        Gradients of the loss, and rejected attempts at a step, since the start.
    outcome
        A `Code`.
    """

    model: AbstractFactorization
    solver_state: Any
    step: Int[Array, ""]
    time: Float[Array, ""]
    time_lost: Float[Array, ""]
    loss: Float[Array, ""]
    resting: Int[Array, ""]
    position: Int[Array, ""]
    outcome: Int[Array, ""]
    evaluations: Int[Array, ""]
    rejected: Int[Array, ""]
    best: Best | None


def begin(plan: Plan, model: AbstractFactorization) -> RunState:
    """The state before the first step."""
    dtype = jax.tree.leaves(model)[0].dtype
    zero, count = jnp.zeros((), dtype), jnp.zeros((), jnp.int32)
    best = None
    if plan.select is not None:
        best = Best(model, jnp.full((), jnp.inf, dtype), count)
    return RunState(
        model=model,
        solver_state=_initialized(plan.solver, plan.problem, model),
        step=count,
        time=zero,
        time_lost=zero,
        loss=jnp.full((), jnp.inf, dtype),
        resting=count,
        position=count,
        outcome=jnp.asarray(Code.RUNNING.value, jnp.int32),
        evaluations=count,
        rejected=count,
        best=best,
    )


@eqx.filter_jit
def _initialized(
    solver: AbstractSolver[Any], problem: AbstractProblem, model: AbstractFactorization
) -> Any:
    with compiling(f"`init` of {type(solver).__name__}"):
        state = solver.init(whole(problem), model)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), state)


@eqx.filter_jit
def advance(
    plan: Plan, states: RunState, targets: Targets, budget: Int[Array, ""]
) -> tuple[RunState, dict[str, Any]]:
    """Move runs to their next targets and measure there, in at most `budget` steps.

    `states` is one run's, or has a leading axis of runs, each of which goes at its own
    pace. A run that ends is measured where it ended. The measurements have an axis of
    length `SAVES_A_CHUNK`, after that of runs; those from a run's old to its new
    `position` are filled in.
    """

    plan = whole(plan)

    def one(state: RunState) -> tuple[RunState, dict[str, Any]]:
        return _advance_one(plan, state, targets, budget)

    return alike(one(states) if states.step.ndim == 0 else jax.vmap(one)(states))


@eqx.filter_jit
def measure(plan: Plan, states: RunState) -> dict[str, Any]:
    """Measure runs where they are; the arrays are shaped as those of `advance`.

    Examples
    --------
    >>> import rankrise as rr
    >>> factors = rr.synthetic.random_target((2, 3), cp_rank=1, seed=0)
    >>> measurements = rr.synthetic.gaussian_measurements((2, 3), 10, seed=0)
    >>> rr.synthetic.measure(factors, measurements, seed=0).shape
    (10,)
    """

    plan = whole(plan)

    def one(state: RunState) -> dict[str, Any]:
        return jax.tree.map(lambda leaf: leaf[None], _measure(plan, state))

    return alike(one(states) if states.step.ndim == 0 else jax.vmap(one)(states))


_Carry = tuple[RunState, dict[str, Any], Int[Array, ""]]


def _advance_one(
    plan: Plan, state: RunState, targets: Targets, budget: Int[Array, ""]
) -> tuple[RunState, dict[str, Any]]:
    shapes = jax.eval_shape(lambda: _measure(plan, state))
    buffers = jax.tree.map(
        lambda leaf: jnp.zeros((SAVES_A_CHUNK, *leaf.shape), leaf.dtype), shapes
    )

    def pending(carry: _Carry) -> Bool[Array, ""]:
        state, _, left = carry
        running = state.outcome == Code.RUNNING
        return running & (state.position < targets.count) & (left > 0)

    def to_next_target(carry: _Carry) -> _Carry:
        state, buffers, left = carry
        state, left = jax.lax.while_loop(
            lambda moved: _is_short(moved[0], targets) & (moved[1] > 0),
            lambda moved: (_step(plan, moved[0], targets), moved[1] - 1),
            (state, left),
        )
        state, buffers = jax.lax.cond(
            _is_short(state, targets),
            lambda: (state, buffers),
            lambda: _record(plan, state, buffers),
        )
        return state, buffers, left

    state, buffers, _ = jax.lax.while_loop(
        pending, to_next_target, (state, buffers, budget)
    )
    return state, buffers


def _is_short(state: RunState, targets: Targets) -> Bool[Array, ""]:
    """Whether a run goes on and has not reached its next target."""
    # A clock that has no reading is NaN, which reaches no time.
    before = (state.step < targets.steps[state.position]) & ~(
        state.time >= targets.times[state.position]
    )
    return before & (state.outcome == Code.RUNNING)


def _record(
    plan: Plan, state: RunState, buffers: dict[str, Any]
) -> tuple[RunState, dict[str, Any]]:
    measured = _measure(plan, state)
    buffers = jax.tree.map(
        lambda buffer, value: buffer.at[state.position].set(value), buffers, measured
    )
    state = eqx.tree_at(lambda s: s.position, state, state.position + 1)
    return _keep_best(plan, state, measured), buffers


def _step(plan: Plan, state: RunState, targets: Targets) -> RunState:
    target = targets.times[state.position]
    remaining = (target - state.time) + state.time_lost
    taken = _taken(plan, state, remaining)
    outcome, resting = _judged(plan, state, taken)
    moves = outcome == Code.RUNNING
    duration = jnp.asarray(taken.duration, state.time.dtype)
    time, time_lost = _add(state.time, state.time_lost, duration)
    # A step that was cut to end at the target ends there, whatever rounding says.
    landed = duration == remaining
    # The state before a step that ends the run is kept: a diverged run still has
    # its last finite factors.
    kept = jax.tree.map(
        lambda new, old: jnp.where(moves, new, old),
        (
            taken.model,
            taken.state,
            jnp.where(landed, target, time),
            jnp.where(landed, jnp.zeros_like(time_lost), time_lost),
        ),
        (state.model, state.solver_state, state.time, state.time_lost),
    )
    return RunState(
        model=kept[0],
        solver_state=kept[1],
        step=state.step + moves.astype(jnp.int32),
        time=kept[2],
        time_lost=kept[3],
        loss=taken.loss,
        resting=resting,
        position=state.position,
        outcome=outcome,
        # A resumed state's counts are no longer weakly typed.
        evaluations=(state.evaluations + taken.evaluations).astype(jnp.int32),
        rejected=(state.rejected + taken.rejected).astype(jnp.int32),
        best=state.best,
    )


def _taken(plan: Plan, state: RunState, remaining: Float[Array, ""]) -> Step:
    """A step of the solver, of which the loop needs that nothing changes its shape."""
    name, before = type(plan.solver).__name__, (state.model, state.solver_state)
    with compiling(f"The step of {name}"):
        taken = plan.solver.step(plan.problem, *before, remaining)
    if not isinstance(taken, Step):
        raise InputError(f"A step of {name} gives {taken!r}; let it give a `Step`.")
    for part, old, new in zip(("model", "state"), before, taken[:2], strict=True):
        if _kinds(old) != _kinds(new):
            raise InputError(
                f"A step of {name} makes of a {part} with arrays {_kinds(old)[1]} one "
                f"with {_kinds(new)[1]}; let it keep structure, shapes and precision."
            )
    return taken


def _kinds(tree: Any) -> tuple[Any, list[str]]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [f"{jnp.result_type(leaf)}{jnp.shape(leaf)}" for leaf in leaves]


def _judged(
    plan: Plan, state: RunState, taken: Step
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """How the run stands after a step, and for how many steps it has rested."""
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(taken.model)]
    healthy = jnp.isfinite(taken.loss) & jnp.stack(finite).all()
    low = taken.loss < plan.loss_tolerance
    rests = low
    if plan.gradient_tolerance is not None:
        rests = low | (taken.gradient_norm < plan.gradient_tolerance)
    resting = jnp.where(rests, state.resting + 1, 0)
    ending = jnp.where(low, Code.CONVERGED, Code.STATIONARY)
    outcome = jnp.where(resting >= plan.patience, ending, Code.RUNNING)
    outcome = jnp.where(healthy, outcome, Code.DIVERGED)
    stalled = taken.stalled & jnp.isfinite(taken.loss)
    outcome = jnp.where(stalled, Code.STALLED, outcome)
    return outcome.astype(jnp.int32), resting


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
    if plan.flat_steps is not None:
        flat = state.step - best.step >= plan.flat_steps
        running = outcome == Code.RUNNING
        outcome = jnp.where(flat & running, Code.FLAT, outcome).astype(jnp.int32)
    return eqx.tree_at(lambda s: (s.best, s.outcome), state, (best, outcome))
