"""A law of growth, integrated along the flow it is about."""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax as dfx
import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rankrise._typing import Values
from rankrise.factorizations import CPFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers import velocity

# Rates of the components by one or several laws.
Law = Callable[[AbstractProblem, CPFactorization], Float[Array, "*laws r"]]


class Integrated(NamedTuple):
    """Component norms at some times, measured and as the laws have them grow."""

    norms: Values
    predicted: Values


def integrated(
    problem: AbstractProblem,
    start: CPFactorization,
    law: Law,
    times: Values,
    *,
    max_steps: int,
    rtol: float = 1e-12,
    atol: float = 1e-14,
) -> Integrated:
    r"""Solve $d(w, s)/dt = (-\partial\phi/\partial w, \text{law}(w))$ from the start.

    What a law says of the norms is then as exact as the flow, at kinks of the loss
    too, which quadrature between saved times is not. At times after the step limit
    norms are infinite.
    """
    norms, predicted = _integrate(
        problem, start, law, jnp.asarray(times), jnp.asarray([rtol, atol]), max_steps
    )
    return Integrated(np.asarray(norms), np.asarray(predicted))


@eqx.filter_jit
def _integrate(
    problem: AbstractProblem,
    start: CPFactorization,
    law: Law,
    times: Float[Array, " times"],
    tolerances: Float[Array, "2"],
    max_steps: int,
) -> tuple[Array, Array]:
    def field(time: Any, state: Any, arguments: Any) -> Any:
        problem, law = arguments
        return velocity(problem, state[0]), law(problem, state[0])

    norms = start.component_norms()
    laws = jnp.zeros_like(law(problem, start)) + norms
    solution = dfx.diffeqsolve(
        dfx.ODETerm(field),
        dfx.Dopri8(),
        jnp.zeros_like(times[0]),
        times[-1],
        None,
        (start, laws),
        args=(problem, law),
        saveat=dfx.SaveAt(ts=times, fn=_norms_and_laws),
        stepsize_controller=dfx.ClipStepSizeController(
            dfx.PIDController(tolerances[0], tolerances[1]), step_ts=times
        ),
        max_steps=max_steps,
        throw=False,
    )
    return solution.ys


def _norms_and_laws(time: Any, state: Any, arguments: Any) -> tuple[Array, Array]:
    return state[0].component_norms(), state[1]
