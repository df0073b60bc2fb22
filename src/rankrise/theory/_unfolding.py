"""The matrix problem behind a tensor problem: modes merged into rows and columns."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from rankrise._algebra import balanced_split, flat_positions, khatri_rao
from rankrise._errors import InputError
from rankrise.problems import AbstractProblem, CompletionProblem, SensingProblem


def unfolded(problem: AbstractProblem) -> AbstractProblem:
    """The same observations, of the tensor unfolded to a matrix.

    The modes are split where rows and columns are most alike; a matrix stays as it is.
    """
    dims = problem.mode_dims
    if len(dims) == 2:
        return problem
    split = balanced_split(dims)
    matrix_dims = (math.prod(dims[:split]), math.prod(dims[split:]))
    if isinstance(problem, CompletionProblem):
        return CompletionProblem(
            indices=jnp.stack(
                [
                    flat_positions(problem.indices[:, :split], dims[:split]),
                    flat_positions(problem.indices[:, split:], dims[split:]),
                ],
                axis=1,
            ),
            values=problem.values,
            mode_dims=matrix_dims,
            loss_function=problem.loss_function,
            weights=problem.weights,
        )
    if isinstance(problem, SensingProblem):
        return SensingProblem(
            measurements=_merged(problem.measurements, split),
            values=problem.values,
            mode_dims=matrix_dims,
            loss_function=problem.loss_function,
            weights=problem.weights,
        )
    raise InputError(
        f"A {type(problem).__name__} cannot be unfolded; give a completion or sensing "
        "problem, or one of order two."
    )


def _merged(measurements: Any, split: int) -> Any:
    """Measurement tensors unfolded in the same way, still factored if they were."""
    if not isinstance(measurements, tuple):
        return measurements  # flattened, which unfolding leaves alone
    merge: Any = jax.vmap(khatri_rao)
    return (merge(measurements[:split]), merge(measurements[split:]))
