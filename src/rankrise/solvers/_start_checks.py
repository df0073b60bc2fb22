"""What `solve` refuses before anything is compiled."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from rankrise._errors import InputError
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._loop import Stop
from rankrise.trajectories import AbstractObservable

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


def check_starts(
    problem: AbstractProblem, models: Sequence[AbstractFactorization]
) -> None:
    """Refuse starts that do not fit the problem or one another."""
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


def check_labels(run_labels: Mapping[str, Sequence[Any]], runs: int) -> None:
    """Refuse run labels that are not one per run."""
    for name, values in run_labels.items():
        if len(values) != runs:
            raise InputError(
                f"The run label {name!r} has {len(values)} value(s) for {runs} "
                "run(s); give one per run."
            )


def check_selection(
    select: str | None, stop: Stop, observables: Sequence[AbstractObservable]
) -> None:
    """Refuse to select by what is not measured."""
    scalars = [each.name for each in observables if not each.per_component]
    if select is not None and select not in scalars:
        raise InputError(
            f"There is no observable {select!r} to select by; choose among "
            f"{', '.join(scalars)}."
        )
    if stop.flat_steps is not None and select is None:
        raise InputError("flat_steps needs `select`, the observable it waits on.")


def check_memory(
    saves: int,
    models: Sequence[AbstractFactorization],
    observables: Sequence[AbstractObservable],
) -> None:
    """Refuse a record of the run that would not fit in memory."""
    numbers = sum(models[0].components if o.per_component else 1 for o in observables)
    size = 8 * saves * numbers * len(models)
    if size > _RECORD_BYTES:
        raise InputError(
            f"Measuring {saves} times along {len(models)} run(s) of "
            f"{models[0].components} components would hold {size / 2**30:.1f} GiB; "
            "save at fewer steps or measure less."
        )
