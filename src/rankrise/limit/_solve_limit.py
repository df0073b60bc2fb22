r"""The trajectory of gradient flow as the init scale goes to zero."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from rankrise._arguments import as_arguments
from rankrise._errors import InputError
from rankrise.factorizations import AbstractFactorization
from rankrise.limit._run import Limit, LimitRun
from rankrise.problems import AbstractProblem
from rankrise.runs import Progress, Watch
from rankrise.solvers import (
    Stop,
    check_labels,
    check_selection,
    check_starts,
    on_device,
)
from rankrise.trajectories import (
    AbstractObservable,
    Trajectory,
    build_dataset,
    standard_observables,
)


def solve_limit(
    problem: AbstractProblem,
    model: AbstractFactorization | Sequence[AbstractFactorization],
    limit: Limit | None = None,
    *,
    observables: Sequence[AbstractObservable] | None = None,
    select: str | None = None,
    kept_components: int = 10,
    progress: Callable[[Progress], None] | None = None,
    run_labels: Mapping[str, Sequence[Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Trajectory:
    """Plateaus of gradient flow as the scale of a start, or of several, goes to zero.

    Parameters
    ----------
    model
        One start or several: a CP factorization or a deep matrix of depth two or more.
        Only directions and relative sizes of its parameters matter.
    limit
        When to stop, and how accurately.
    observables
        What is measured at every plateau; `standard_observables(problem)` by default.
    select
        The observable at whose least value the final factorization is taken, as for
        `solve`; by default that of the last plateau.
    kept_components, progress, run_labels, settings
        As for `solve`; `progress` is called at every plateau.

    Returns
    -------
    Trajectory
        Its saves are the plateaus, the first of which is zero. `step` counts
        components that joined, `rank` those that are learned, `time` is the scaled
        time at which the plateau was entered and `note` says what a reader should
        know. The final factorization is zero where nothing is learned.

    Notes
    -----
    Scaled time of order $N \\ge 3$ is flow time times $\\alpha^{N-2}$, where $\\alpha$
    is the root mean square of the start's parameters. For matrices of depth two it is
    flow time over $\\log(1/\\alpha)$; for deeper ones it is not known (NaN).
    """
    single = isinstance(model, AbstractFactorization)
    models = [model] if isinstance(model, AbstractFactorization) else list(model)
    if limit is not None and not isinstance(limit, Limit):
        raise InputError(
            f"The limit's settings are {limit!r}; give a `Limit`, or call `solve` for "
            "another solver."
        )
    models = [on_device(each) for each in models]
    labels = dict(run_labels or {})
    check_labels(labels, len(models))
    check_starts(problem, models)
    _check_loss(problem)
    if not all(np.isfinite(x).all() for x in jax.tree.leaves(models)):
        raise InputError(
            "A start is not finite, so it has no directions; draw another."
        )
    measured = tuple(observables or standard_observables(problem))
    limit = limit or Limit()
    check_selection(select, Stop(), measured)
    if limit.flat_plateaus is not None and select is None:
        raise InputError("flat_plateaus needs `select`, the observable it waits on.")
    return limit_trajectory(
        problem,
        models,
        limit,
        measured,
        select=select,
        single=single,
        kept_components=kept_components,
        progress=progress,
        run_labels=labels,
        settings=dict(settings or {}),
    )


def limit_trajectory(
    problem: AbstractProblem,
    models: Sequence[AbstractFactorization],
    limit: Limit,
    observables: tuple[AbstractObservable, ...],
    *,
    select: str | None,
    single: bool,
    kept_components: int,
    progress: Callable[[Progress], None] | None,
    run_labels: Mapping[str, Sequence[Any]],
    settings: Mapping[str, Any],
) -> Trajectory:
    """The same for starts that are checked, one after another."""
    problem = as_arguments(problem, problem.values.dtype)
    runs = [LimitRun(problem, model, limit, observables, select) for model in models]
    ending = None
    with Watch(max_seconds=limit.max_seconds) as watch:
        for number, run in enumerate(runs):
            while ending is None and not run.is_over:
                run.advance()
                if progress is not None:
                    progress(run.progress(len(runs) - number))
                ending = watch.ending()
            if ending is not None:
                run.cut_off(ending)
    dataset = build_dataset(
        [run.history() for run in runs],
        observables,
        kept_components=kept_components,
        single=single,
        run_labels=run_labels,
        settings=settings,
    )
    _add_plateaus(dataset, runs, single)
    return Trajectory(
        dataset=dataset,
        models=tuple(run.best.whole(run.start) for run in runs),
        outcomes=tuple(run.outcome for run in runs if run.outcome is not None),
        seconds_compile=sum(run.seconds_compile for run in runs),
        seconds_run=sum(run.seconds for run in runs),
        _single=single,
    )


def _check_loss(problem: AbstractProblem) -> None:
    loss = problem.loss_function
    if loss.smoothness < 1:
        raise InputError(
            f"{type(loss).__name__} has a kink where it fits and no Hessian there, so "
            "its plateaus cannot be found; take Huber loss with a small threshold."
        )


def _add_plateaus(dataset: Any, runs: Sequence[LimitRun], single: bool) -> None:
    """What only plateaus have, beside what was measured."""
    dataset.attrs["title"] = "Plateaus of gradient flow as the init scale goes to zero"
    dataset["step"].attrs["long_name"] = "components that joined"
    dataset["time"].attrs["long_name"] = "scaled time of entering the plateau"
    saves = dataset.sizes["save"]
    ranks = np.full((len(runs), saves), -1)
    notes = np.full((len(runs), saves), "", dtype=object)
    for row, run in enumerate(runs):
        ranks[row, : len(run.notes)] = run.history()["rank"]
        notes[row, : len(run.notes)] = run.notes
    dims = "save" if single else ("run", "save")
    dataset["rank"] = (
        dims,
        ranks[0] if single else ranks,
        {"long_name": "components learned"},
    )
    dataset["note"] = (dims, notes[0] if single else notes)
