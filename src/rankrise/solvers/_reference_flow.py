"""Gradient flow by diffrax at tight tolerance: what other computations are held to."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem

Measure = Callable[[AbstractProblem, AbstractFactorization], Float[Array, "..."]]


class ReferenceFlow(NamedTuple):
    """Gradient flow at the requested times.

    Attributes
    ----------
    models
        One factorization whose arrays have a leading axis of times; those after a
        failure are infinite.
    succeeded
        Whether the last time was reached within the step limit.
    """

    times: Float[Array, " times"]
    models: Any
    succeeded: bool
    steps: int


class Crossing(NamedTuple):
    """The first step of gradient flow that took something past a level.

    Attributes
    ----------
    time, model
        At the end of that step; where there was none, at the end of the run.
    step_times
        Ends of the solver's steps, which are dense where the flow is fast.
    models
        At the requested times, along a leading axis; infinite after the end.
    """

    time: float
    model: Any
    reached: bool
    step_times: Values
    models: Any


def reference_flow(
    problem: AbstractProblem,
    model: AbstractFactorization,
    times: npt.ArrayLike | Array,
    *,
    method: dfx.AbstractSolver[Any] | None = None,
    rtol: float = 1e-12,
    atol: float = 1e-14,
    max_steps: int = 100_000,
) -> ReferenceFlow:
    r"""Gradient flow $dw/dt = -\partial\phi/\partial w$ from `model` at time zero.

    Parameters
    ----------
    times
        Increasing, from zero on.
    method
        A diffrax solver, explicit or implicit; by default Dormand and Prince's pair of
        order 8. An explicit one takes many steps where the flow is stiff.
    rtol, atol
        Tolerances of a step, for every parameter.

    Notes
    -----
    Compiled once for all problems and starts of the same shapes.
    """
    flows = _flows(problem, [model], times, method, (rtol, atol), max_steps)
    only = jax.tree.map(lambda leaf: leaf[0], flows.models)
    return flows._replace(models=only)


def reference_flows(
    problem: AbstractProblem,
    models: Sequence[AbstractFactorization],
    times: npt.ArrayLike | Array,
    *,
    method: dfx.AbstractSolver[Any] | None = None,
    rtol: float = 1e-12,
    atol: float = 1e-14,
    max_steps: int = 100_000,
) -> ReferenceFlow:
    """Gradient flow from several starts of one shape, all at once.

    As `reference_flow`, with a leading axis of starts before that of times. It
    succeeded where all did; the steps are those of the start that took most.
    """
    if not models:
        raise InputError("There are no starts; give at least one factorization.")
    return _flows(problem, models, times, method, (rtol, atol), max_steps)


def _flows(
    problem: AbstractProblem,
    models: Sequence[AbstractFactorization],
    times: Any,
    method: dfx.AbstractSolver[Any] | None,
    tolerances: tuple[float, float],
    max_steps: int,
) -> ReferenceFlow:
    for model in models:
        problem.check_model(model)
    _check_precision(problem)
    wanted = _checked_times(times)
    _check_limits(*tolerances, max_steps)
    starts: Any = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    rtol, atol = map(jnp.asarray, tolerances)
    solver = dfx.Dopri8() if method is None else method
    flows, succeeded, steps = _integrate(
        problem, starts, wanted, (rtol, atol), solver, max_steps
    )
    return ReferenceFlow(wanted, flows, bool(succeeded.all()), int(steps.max()))


def flow_until(
    problem: AbstractProblem,
    model: AbstractFactorization,
    measure: Measure,
    level: float = math.nan,
    *,
    times: npt.ArrayLike | int = 1,
    max_time: float = 1e15,
    rtol: float = 1e-12,
    atol: float = 1e-14,
    max_steps: int = 50_000,
) -> Crossing:
    """Follow gradient flow until a step takes `measure(problem, model)` past `level`.

    Parameters
    ----------
    measure
        An observable, for example, or any function; each is compiled once.
    level
        NaN is never passed: then the run ends at the last of the times.
    times
        Increasing, from zero on: when to keep the factorization. Calls with as many
        times share a compilation; a number stands for so many that are never reached.
    """
    problem.check_model(model)
    _check_precision(problem)
    _check_limits(rtol, atol, max_steps)
    if isinstance(times, int):
        wanted = max_time * jnp.linspace(0.5, 1.0, times)
    else:
        wanted = _checked_times(times)
        max_time = float(wanted[-1]) if math.isnan(level) else max_time
    numbers = tuple(map(jnp.asarray, (level, max_time, rtol, atol)))
    time, end, reached, step_times, models = _integrate_until(
        problem, model, measure, wanted, numbers, max_steps
    )
    ends = np.asarray(step_times)
    ends = np.append(ends[np.isfinite(ends) & (ends < float(time))], float(time))
    return Crossing(float(time), end, bool(reached), ends, models)


def velocity(
    problem: AbstractProblem, model: AbstractFactorization
) -> AbstractFactorization:
    r"""$-\partial\phi/\partial w$, with the structure of the factorization."""
    gradient = eqx.filter_grad(problem.loss)(model)
    return jax.tree.map(jnp.negative, gradient)


def _field(time: Any, model: Any, arguments: tuple[Any, ...]) -> Any:
    return velocity(arguments[0], model)


@eqx.filter_jit
def _integrate(
    problem: AbstractProblem,
    starts: Any,
    times: Float[Array, " times"],
    tolerances: tuple[Float[Array, ""], Float[Array, ""]],
    method: dfx.AbstractSolver[Any],
    max_steps: int,
) -> tuple[Any, Array, Array]:
    def from_start(start: Any) -> tuple[Any, Array, Array]:
        solution = dfx.diffeqsolve(
            dfx.ODETerm(_field),
            method,
            jnp.zeros_like(times[0]),
            times[-1],
            None,
            start,
            args=(problem,),
            saveat=dfx.SaveAt(ts=times),
            # Steps end at the times: interpolated states would be a hundred times less
            # accurate than those at the ends of steps.
            stepsize_controller=dfx.ClipStepSizeController(
                dfx.PIDController(*tolerances), step_ts=times
            ),
            max_steps=max_steps,
            throw=False,
        )
        succeeded = solution.result == dfx.RESULTS.successful
        return solution.ys, succeeded, solution.stats["num_steps"]

    if len(jax.tree.leaves(starts)[0]) > 1:
        return eqx.filter_vmap(from_start)(starts)
    # A batch of one would make every step compute both branches of its conditionals.
    only = from_start(jax.tree.map(lambda leaf: leaf[0], starts))
    return jax.tree.map(lambda leaf: leaf[None], only)


@eqx.filter_jit
def _integrate_until(
    problem: AbstractProblem,
    model: Any,
    measure: Measure,
    times: Float[Array, " times"],
    numbers: tuple[Float[Array, ""], ...],
    max_steps: int,
) -> tuple[Array, Any, Array, Array, Any]:
    level, max_time, rtol, atol = numbers
    start_side = jnp.sign(measure(problem, model) - level)

    def past_level(t: Any, y: Any, args: Any, **_: Any) -> Array:
        problem, level, start_side = args
        return (measure(problem, y) - level) * start_side <= 0

    solution = dfx.diffeqsolve(
        dfx.ODETerm(_field),
        dfx.Dopri8(),
        jnp.zeros_like(max_time),
        max_time,
        None,
        model,
        args=(problem, level, start_side),
        saveat=dfx.SaveAt(
            subs=[
                dfx.SubSaveAt(t1=True),
                dfx.SubSaveAt(steps=True, fn=lambda time, model, arguments: time),
                dfx.SubSaveAt(ts=times),
            ]
        ),
        stepsize_controller=dfx.ClipStepSizeController(
            dfx.PIDController(rtol, atol), step_ts=times
        ),
        event=dfx.Event(past_level),
        max_steps=max_steps,
        throw=False,
    )
    end = jax.tree.map(lambda leaf: leaf[0], solution.ys[0])
    reached = solution.result == dfx.RESULTS.event_occurred
    return solution.ts[0][0], end, reached, solution.ts[1], solution.ys[2]


def _check_precision(problem: AbstractProblem) -> None:
    if problem.values.dtype != jnp.float64:
        raise InputError(
            f"The problem is in {problem.values.dtype}, too coarse for a reference; "
            "build it and the start in float64, under `jax.enable_x64(True)`."
        )


def _checked_times(times: Any) -> Float[Array, " times"]:
    wanted = np.asarray(times, dtype=np.float64)
    if wanted.ndim != 1 or len(wanted) == 0:
        raise InputError(
            f"The times have shape {wanted.shape}; give a list of at least one."
        )
    increasing = bool(np.all(np.diff(wanted) > 0))
    if not (np.isfinite(wanted).all() and wanted[0] >= 0 and increasing):
        raise InputError(
            "The times must be finite and increase from zero, where the start is; sort "
            "them and leave out repeats."
        )
    if wanted[-1] == 0:
        raise InputError("The only time is zero, where the start is; give a later one.")
    return jnp.asarray(wanted)


def _check_limits(rtol: float, atol: float, max_steps: int) -> None:
    if not (0 < rtol < 1 and 0 < atol < 1):
        raise InputError(
            f"The tolerances are rtol {rtol:g} and atol {atol:g}; both must lie "
            "between 0 and 1."
        )
    if max_steps < 1:
        raise InputError(f"The step limit is {max_steps}; at least one step is needed.")
