"""What `solve` refuses before anything is compiled."""

import math
from collections.abc import Sequence

import jax

from rankrise._errors import InputError
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._runs import on_device
from rankrise.trajectories import Observable

# What is recorded stays in memory until the run ends.
_RECORD_BYTES = 2**31
_MOST_STEPS = 2**31 - 2


def checked_limits(
    max_steps: int | None, end_time: float | None
) -> tuple[int, float | None]:
    """The limits of a run, of which one at least is given."""
    if max_steps is None and end_time is None:
        raise InputError("A run needs a limit; give max_steps, end_time or both.")
    max_steps = _MOST_STEPS if max_steps is None else max_steps
    if not 1 <= max_steps <= _MOST_STEPS:
        raise InputError(
            f"The step limit is {max_steps}; it must lie between 1 and {_MOST_STEPS}."
        )
    if end_time is not None and not (end_time > 0 and math.isfinite(end_time)):
        raise InputError(f"The end time is {end_time}; give a positive, finite number.")
    return max_steps, end_time


def checked_starts(
    problem: AbstractProblem,
    model: AbstractFactorization | Sequence[AbstractFactorization],
) -> list[AbstractFactorization]:
    """One start or several, on the device, if they fit the problem and one another."""
    given = [model] if isinstance(model, AbstractFactorization) else model
    models = [on_device(each) for each in given]
    if not models:
        raise InputError("There is no start; give at least one factorization.")
    for model in models:
        problem.check_model(model)
    kinds = {
        f"{type(model).__name__} {[leaf.shape for leaf in jax.tree.leaves(model)]}"
        for model in models
    }
    if len(kinds) > 1:
        raise InputError(
            "Starts that run together must be of one kind with arrays of equal "
            f"shapes; got {' and '.join(sorted(kinds))}."
        )
    return models


def check_memory(
    saves: int,
    models: Sequence[AbstractFactorization],
    observables: Sequence[Observable],
) -> None:
    """Refuse a record of the runs that would not fit in memory."""
    numbers = sum(math.prod(each.shape(models[0])) for each in observables)
    size = 8 * saves * numbers * len(models)
    if size > _RECORD_BYTES:
        raise InputError(
            f"Measuring {numbers} numbers {saves} times along {len(models)} run(s) "
            f"would hold {size / 2**30:.1f} GiB; save at fewer steps or measure less."
        )
