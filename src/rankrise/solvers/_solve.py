"""`solve`: a problem, a start and a solver make a trajectory."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax

from rankrise._arguments import VALUE_NEEDED, as_arguments
from rankrise._devices import Devices, across, on_one
from rankrise._errors import InputError
from rankrise._tracing import ValueNeededError
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem, with_shares
from rankrise.runs import Checkpoint, Ending, Progress, ShowProgress, showing
from rankrise.solvers._adaptive_gradient_descent import AdaptiveGradientDescent
from rankrise.solvers._contract import AbstractSolver
from rankrise.solvers._gradient_flow import GradientFlow
from rankrise.solvers._loop import Plan, Stop, make_plan
from rankrise.solvers._runs import Runs
from rankrise.solvers._session import Session
from rankrise.solvers._start_checks import check_memory, checked_limits, checked_starts
from rankrise.trajectories import Recording, SaveAt, Trajectory


class RunFailedError(RuntimeError):
    """A run diverged and `throw` was asked for. The trajectory is in `trajectory`."""

    def __init__(self, message: str, trajectory: Trajectory) -> None:
        super().__init__(message)
        self.trajectory = trajectory


def solve(
    problem: AbstractProblem,
    model: AbstractFactorization | Sequence[AbstractFactorization],
    solver: AbstractSolver[Any] | None = None,
    *,
    max_steps: int | None = None,
    end_time: float | None = None,
    max_seconds: float | None = None,
    stop: Stop | None = None,
    recording: Recording | None = None,
    together: int | None = None,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Progress], None] = None,
    throw: bool = False,
    devices: Devices = None,
) -> Trajectory:
    """Run a solver from a start, or from several starts at once on one problem.

    Parameters
    ----------
    model
        One start, or a sequence of starts of equal shapes, which run as one batch.
    solver
        Adaptive gradient descent, the paper's rule, by default.
    max_steps, end_time
        The run is stopped after this many steps, or when the clock of gradient flow
        (the sum of learning rates) reaches this time. At least one is needed, unless
        saves are at listed times.
    max_seconds
        Time limit, anew each time a run is resumed; what it cuts off depends on the
        machine.
    stop
        When a run ends earlier; by default only when it diverges.
    recording
        When a run is measured, and what; by default 500 times, and all of
        `standard_observables`.
    together
        How many of several runs are advanced as one batch; by default all of them, and
        one for `GradientFlow` on a CPU, where runs of a batch wait for the one whose
        steps take most stages.
    checkpoint
        Where to write the state every so often. A killed run that is resumed ends
        with the same factors, bit for bit on one machine, as one never stopped.
    progress
        True shows a bar at a terminal or in a notebook, and lines elsewhere; see
        `complete`. A function is called between chunks of the compiled loop, about
        twice a second.
    throw
        Raise `RunFailedError` if a run diverged.
    devices
        How many devices every step goes over, each with a share of the observations (or
        of the components, where the whole end tensor is formed), or "all"; one by
        default. The result is the same but for rounding, and so is a checkpoint, which
        is resumed on any number. See "Several devices" in the guide to GPUs.

    Notes
    -----
    Ctrl-C raises KeyboardInterrupt after the current chunk and writes the checkpoint.

    Examples
    --------
    >>> import jax, rankrise as rr
    >>> target = rr.synthetic.random_target((4, 4, 4), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 4, 4), 40, seed=0)
    >>> seen = rr.synthetic.observe(target, indices, seed=0)
    >>> problem = rr.CompletionProblem.from_observations(seen)
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero((4, 4, 4), 3, init_scale=0.1, key=key)
    >>> solver = rr.AdaptiveGradientDescent()
    >>> trajectory = rr.solve(problem, start, solver, max_steps=1000)
    >>> bool(trajectory.loss[-1] < 0.01 * trajectory.loss[0])
    True
    """
    if solver is not None and not isinstance(solver, AbstractSolver):
        raise InputError(
            f"The solver is {solver!r}; give one such as `GradientFlow()`, or call "
            "`solve_limit` for the limit of a vanishing init scale."
        )
    recording, stop = Recording.checked(recording), stop or Stop()
    if stop.flat_steps is not None and recording.select is None:
        raise InputError(
            "`flat_steps` waits on the observable that a recording selects; give a "
            "`Recording` with `select`."
        )
    save_at = recording.save_at or SaveAt.linear(500)
    limits = checked_limits(
        max_steps, save_at.end_time if end_time is None else end_time
    )
    schedule = save_at.schedule(*limits)
    models = checked_starts(problem, model)
    observables = recording.observables_of(problem, models)
    check_memory(len(schedule.steps), models, observables)
    solver = solver or AdaptiveGradientDescent()
    batch_size = _batch_size(solver, together, len(models))

    def begun(problem: Any, solver: Any) -> tuple[Plan, Runs]:
        plan = make_plan(problem, solver, observables, stop, recording.select)
        plan = with_shares(plan)
        return plan, Runs(plan, models, batch_size)

    with across(devices):
        try:
            plan, runs = begun(*as_arguments((problem, solver), problem.values.dtype))
        except (ValueNeededError, *VALUE_NEEDED):
            # A rule or a loss that computes with its numbers in Python, once for each.
            plan, runs = begun(problem, solver)
        session = Session(
            plan,
            runs,
            stop=stop,
            schedule=schedule,
            settings=dict(recording.settings),
        )
        with showing(progress) as report:
            cut_off = session.run(max_seconds, checkpoint, report)
        single = isinstance(model, AbstractFactorization)
        trajectory = session.trajectory(cut_off, recording, single)
    trajectory = replace(trajectory, models=on_one(trajectory.models))
    reasons = [o.reason for o in trajectory.outcomes if o.result == Ending.DIVERGED]
    if throw and reasons:
        raise RunFailedError(f"A run diverged: {reasons[0]}", trajectory)
    return trajectory


def _batch_size(solver: AbstractSolver[Any], together: int | None, runs: int) -> int:
    if together is not None and together < 1:
        raise InputError(f"together is {together}; at least one run goes at a time.")
    uneven = isinstance(solver, GradientFlow) and jax.default_backend() == "cpu"
    return together or (1 if uneven else runs)
