r"""The trajectory of gradient flow as the init scale goes to zero."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rankrise._arguments import VALUE_NEEDED, as_arguments
from rankrise._errors import InputError
from rankrise.factorizations import AbstractFactorization
from rankrise.limit._run import Limit, LimitRun
from rankrise.problems import AbstractProblem
from rankrise.runs import Progress, ShowProgress, Watch, as_part, showing
from rankrise.solvers import checked_starts
from rankrise.trajectories import Recording, Trajectory, build_dataset


def solve_limit(
    problem: AbstractProblem,
    model: AbstractFactorization | Sequence[AbstractFactorization],
    limit: Limit | None = None,
    *,
    recording: Recording | None = None,
    progress: ShowProgress | Callable[[Progress], None] = None,
) -> Trajectory:
    """Plateaus of gradient flow as the scale of a start, or of several, goes to zero.

    Parameters
    ----------
    model
        One start or several: a CP factorization or a deep matrix of depth two or more.
        Only directions and relative sizes of its parameters matter.
    limit
        When to stop, and how accurately.
    recording
        What is measured at every plateau, as for `solve`; without a `save_at`, since
        the plateaus decide when.
    progress
        As for `solve`; a function is called at every plateau.

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

    Examples
    --------
    >>> import jax, rankrise as rr
    >>> target = rr.synthetic.random_target((4, 4, 4), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 4, 4), 40, seed=0)
    >>> seen = rr.synthetic.observe(target, indices, seed=0)
    >>> problem = rr.CompletionProblem.from_observations(seen)
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero((4, 4, 4), 3, init_scale=0.1, key=key)
    >>> plateaus = rr.solve_limit(problem, start, rr.Limit(max_components=1))
    >>> plateaus.rank.tolist()
    [0, 1]
    """
    if limit is not None and not isinstance(limit, Limit):
        raise InputError(
            f"The limit's settings are {limit!r}; give a `Limit`, or call `solve` for "
            "another solver."
        )
    models = checked_starts(problem, model)
    problem = _with_arguments(problem)
    _check_loss(problem)
    if not all(np.isfinite(x).all() for x in jax.tree.leaves(models)):
        raise InputError(
            "A start is not finite, so it has no directions; draw another."
        )
    limit, recording = limit or Limit(), Recording.checked(recording)
    if recording.save_at is not None:
        raise InputError("The limit is measured at its plateaus; leave out `save_at`.")
    if limit.flat_plateaus is not None and recording.select is None:
        raise InputError(
            "`flat_plateaus` waits on the observable that a recording selects; give a "
            "`Recording` with `select`."
        )
    observables = recording.observables_of(problem, models)
    runs = [LimitRun(problem, m, limit, observables, recording.select) for m in models]
    with showing(progress) as report:
        _advance(runs, limit.max_seconds, report)
    single = isinstance(model, AbstractFactorization)
    dataset = build_dataset(
        [run.history() for run in runs], observables, recording, single=single
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


def _with_arguments(problem: AbstractProblem) -> AbstractProblem:
    """The problem with numbers of its loss as arguments, if it works with them."""
    arguments: AbstractProblem = as_arguments(problem, problem.values.dtype)
    try:
        jax.eval_shape(type(problem).loss_at, arguments, problem.values)
    except VALUE_NEEDED:
        return problem
    return arguments


def _advance(
    runs: Sequence[LimitRun],
    max_seconds: float | None,
    progress: Callable[[Progress], None] | None,
) -> None:
    """Bring runs to their ends, one after another."""
    ending = None
    with Watch(max_seconds=max_seconds) as watch:
        for number, run in enumerate(runs):
            while ending is None and not run.is_over:
                run.advance()
                if progress is not None:
                    name = f"run {number + 1} of {len(runs)}" if len(runs) > 1 else ""
                    with as_part(name, number, len(runs)):
                        progress(run.progress(len(runs) - number))
                ending = watch.ending()
            if ending is not None:
                run.cut_off(ending)


def _check_loss(problem: AbstractProblem) -> None:
    loss = problem.loss_function
    if loss.smoothness < 1 or bool(_slope_jumps(problem)):
        raise InputError(
            f"{type(loss).__name__} has a kink where it fits and no Hessian there, so "
            "its plateaus cannot be found; take Huber loss with a small threshold."
        )


@eqx.filter_jit
def _slope_jumps(problem: AbstractProblem) -> Bool[Array, ""]:
    """Whether slopes change as much over a step as over four, where all fits."""
    values = problem.values
    step = jnp.sqrt(np.finfo(values.dtype).eps * jnp.mean(values**2))

    def change(by: Float[Array, ""]) -> Float[Array, ""]:
        slope = jax.grad(problem.loss_at)
        return jnp.sum(jnp.abs(slope(values + by) - slope(values - by)))

    return change(step) > 0.5 * change(4 * step)


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
