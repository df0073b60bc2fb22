"""`solve`: a problem, a start and a solver make a trajectory."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.solvers._adaptive_gradient_descent import AdaptiveGradientDescent
from rankrise.solvers._checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from rankrise.solvers._contract import AbstractSolver
from rankrise.solvers._interrupt import DeferredInterrupt
from rankrise.solvers._loop import (
    CONVERGED,
    DIVERGED,
    FLAT,
    SAVES_A_CHUNK,
    RunState,
    Stop,
    make_plan,
)
from rankrise.solvers._runs import Runs, stateless
from rankrise.trajectories import (
    AbstractObservable,
    Outcome,
    SaveAt,
    Trajectory,
    build_dataset,
    standard_observables,
)

# A chunk of the compiled loop takes about this long: between two chunks progress is
# shown, checkpoints are written and interrupts are heard.
_CHUNK_SECONDS = 0.5
# What is recorded stays in memory until the run ends.
_RECORD_BYTES = 2**31


class RunFailedError(RuntimeError):
    """A run diverged and `throw` was asked for. The trajectory is in `trajectory`."""

    def __init__(self, message: str, trajectory: Trajectory) -> None:
        super().__init__(message)
        self.trajectory = trajectory


@dataclass(frozen=True)
class Progress:
    """How far the runs are; given to `solve`'s `progress` between chunks."""

    step: int
    max_steps: int
    running: int
    losses: tuple[float, ...]


def solve(
    problem: AbstractProblem,
    model: AbstractFactorization | Sequence[AbstractFactorization],
    solver: AbstractSolver[Any] | None = None,
    *,
    max_steps: int,
    save_at: SaveAt | None = None,
    observables: Sequence[AbstractObservable] | None = None,
    stop: Stop | None = None,
    select: str | None = None,
    max_seconds: float | None = None,
    kept_components: int = 10,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[Progress], None] | None = None,
    run_labels: Mapping[str, Sequence[Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    throw: bool = False,
) -> Trajectory:
    """Run a solver from a start, or from several starts at once on one problem.

    Parameters
    ----------
    model
        One start, or a sequence of starts of equal shapes, which run as one batch.
    solver
        Adaptive gradient descent, the paper's rule, by default.
    max_steps
        The run is stopped after so many steps.
    save_at
        Which steps are measured; 500, evenly spaced, by default.
    observables
        What is measured; `standard_observables(problem)` by default.
    stop
        When a run ends earlier; by default only when it diverges.
    select
        Name of an observable: the factorization with its smallest value over the
        saves is kept as the final one, instead of the last.
    max_seconds
        The runs are stopped after so many seconds; what that cuts off depends on the
        machine.
    kept_components
        How many of the largest components the trajectory keeps.
    checkpoint
        Where to write the state every so often. A killed run that is resumed ends
        with the same factors, bit for bit on one machine, as one never stopped.
    progress
        Called between chunks of the compiled loop, about twice a second.
    run_labels
        Names and values, one per run (seeds, init scales), for the trajectory.
    settings
        Stored with the trajectory and the checkpoint; resuming asks for equal ones.
    throw
        Raise `RunFailedError` if a run diverged.

    Notes
    -----
    Ctrl-C ends the runs after the current chunk, with what they had; their result is
    "interrupted".
    """
    single = isinstance(model, AbstractFactorization)
    models = [model] if isinstance(model, AbstractFactorization) else list(model)
    _check_labels(run_labels or {}, len(models))
    session = _Session(
        problem,
        [stateless(each) for each in models],
        solver or AdaptiveGradientDescent(),
        tuple(observables or standard_observables(problem)),
        stop or Stop(),
        select,
        (save_at or SaveAt.linear(500)).steps(_checked_limit(max_steps)),
        dict(settings or {}),
    )
    ended_by = session.run(max_seconds, checkpoint, progress)
    trajectory = session.trajectory(
        ended_by, single, kept_components, dict(run_labels or {})
    )
    reasons = [o.reason for o in trajectory.outcomes if o.result == "diverged"]
    if throw and reasons:
        raise RunFailedError(f"A run diverged: {reasons[0]}", trajectory)
    return trajectory


class _Session:
    """The host's side of the loop: schedule, clock, checkpoints, interrupts."""

    def __init__(
        self,
        problem: AbstractProblem,
        models: list[AbstractFactorization],
        solver: AbstractSolver[Any],
        observables: tuple[AbstractObservable, ...],
        stop: Stop,
        select: str | None,
        schedule: npt.NDArray[np.int64],
        settings: dict[str, Any],
    ) -> None:
        _check_starts(problem, models)
        _check_selection(select, stop, observables)
        _check_memory(len(schedule), models, observables)
        self._plan = make_plan(problem, solver, observables, stop, select)
        self._stop = stop
        self._schedule = schedule
        self._settings = settings
        self._runs = Runs(self._plan, models)
        self._saves_done = 0
        self._reached = 0
        self._seconds = 0.0
        self._compiled_earlier = 0.0

    def run(
        self,
        max_seconds: float | None,
        checkpoint: Checkpoint | None,
        progress: Callable[[Progress], None] | None,
    ) -> str:
        """Advance until every run ended; says what ended the rest."""
        if checkpoint is not None and checkpoint.resume and checkpoint.path.exists():
            self._resume(checkpoint)
        written = -np.inf
        chunk_steps = 1
        ended_by = "steps"
        with DeferredInterrupt() as interrupt:
            while self._saves_done < len(self._schedule):
                targets, save = self._next_targets(chunk_steps)
                before, elapsed = self._reached, self._seconds
                self._advance(targets, save)
                chunk_steps = _adapted(
                    chunk_steps, self._reached - before, self._seconds - elapsed
                )
                if progress is not None:
                    progress(self._progress())
                if self._runs.running() == 0:
                    # Where they ended is measured, whichever chunk that was in.
                    self._runs.advance(targets[-1:], save=True)
                    break
                if self._saves_done == len(self._schedule):
                    break
                if interrupt.requested:
                    ended_by = "interrupt"
                    break
                spent = self._seconds + self._seconds_compile
                if max_seconds is not None and spent >= max_seconds:
                    ended_by = "seconds"
                    break
                if checkpoint is not None and spent - written >= checkpoint.seconds:
                    self._write(checkpoint)
                    written = spent
            if checkpoint is not None:
                self._write(checkpoint)
        if ended_by != "steps":
            self._runs.measure_now()
        return ended_by

    @property
    def _seconds_compile(self) -> float:
        return self._compiled_earlier + self._runs.seconds_compile

    def _next_targets(self, chunk_steps: int) -> tuple[npt.NDArray[np.int64], bool]:
        horizon = self._reached + chunk_steps
        segment = (self._saves_done // SAVES_A_CHUNK + 1) * SAVES_A_CHUNK
        due = self._schedule[self._saves_done : segment]
        due = due[due <= horizon]
        if len(due):
            return due, True
        return np.array([horizon]), False

    def _advance(self, targets: npt.NDArray[np.int64], save: bool) -> None:
        began = time.monotonic()
        self._runs.advance(targets, save=save)
        self._seconds += time.monotonic() - began
        self._reached = int(targets[-1])
        if save:
            self._saves_done += len(targets)
            if self._saves_done % SAVES_A_CHUNK == 0:
                self._runs.compact()

    def _progress(self) -> Progress:
        losses = tuple(float(state.loss) for state in self._runs.states())
        limit = int(self._schedule[-1])
        return Progress(self._reached, limit, self._runs.running(), losses)

    def _write(self, checkpoint: Checkpoint) -> None:
        arrays, facts = self._runs.pack()
        meta = {
            **facts,
            "settings": self._settings,
            "saves_done": self._saves_done,
            "reached": self._reached,
            "seconds": self._seconds,
            "seconds_compile": self._seconds_compile,
        }
        write_checkpoint(checkpoint.path, arrays, meta)

    def _resume(self, checkpoint: Checkpoint) -> None:
        arrays, meta = read_checkpoint(checkpoint.path, self._settings)
        self._runs.unpack(arrays, meta)
        self._saves_done = int(meta["saves_done"])
        self._reached = int(meta["reached"])
        self._seconds = float(meta["seconds"])
        self._compiled_earlier = float(meta["seconds_compile"])

    def trajectory(
        self,
        ended_by: str,
        single: bool,
        kept_components: int,
        run_labels: dict[str, Sequence[Any]],
    ) -> Trajectory:
        """What was measured and where the runs ended."""
        states = self._runs.states()
        dataset = build_dataset(
            self._runs.histories(),
            self._plan.observables,
            kept_components=kept_components,
            single=single,
            run_labels=run_labels,
            settings=self._settings,
        )
        return Trajectory(
            dataset=dataset,
            models=tuple(
                state.model if state.best is None else state.best.model
                for state in states
            ),
            outcomes=tuple(self._outcome(state, ended_by) for state in states),
            seconds_compile=self._seconds_compile,
            seconds_run=self._seconds,
            _single=single,
        )

    def _outcome(self, state: RunState, ended_by: str) -> Outcome:
        stop, steps, code = self._stop, int(state.step), int(state.outcome)
        if code == CONVERGED:
            words = (
                "converged",
                f"loss below {stop.loss_tolerance:g} for {stop.patience} steps",
            )
        elif code == DIVERGED:
            words = ("diverged", _divergence(steps))
        elif code == FLAT:
            words = (
                "stopped",
                f"{self._plan.select} had no new minimum for {stop.flat_steps} steps",
            )
        elif ended_by == "interrupt":
            words = ("interrupted", f"interrupted after step {steps}")
        elif ended_by == "seconds":
            words = ("stopped", f"time limit reached after step {steps}")
        else:
            words = ("stopped", f"step limit of {steps} reached")
        best_step = None if state.best is None else int(state.best.step)
        return Outcome(*words, steps, int(state.evaluations), best_step)


def _divergence(steps: int) -> str:
    if steps == 0:
        return "not finite at the start; lower the init scale"
    return f"no longer finite after step {steps}; lower the learning rate"


def _adapted(chunk_steps: int, taken: int, seconds: float) -> int:
    # Where chunks end does not change any number, so their length may follow the
    # clock. The first chunks include compilation, so growth is bounded.
    if taken == 0:
        return chunk_steps
    fitting = taken * _CHUNK_SECONDS / max(seconds, 1e-4)
    return max(1, min(int(fitting), 8 * chunk_steps, 2**30))


def _checked_limit(max_steps: int) -> int:
    if not 1 <= max_steps <= 2**31 - 2:
        raise InputError(
            f"The step limit is {max_steps}; it must lie between 1 and {2**31 - 2}."
        )
    return max_steps


def _check_starts(
    problem: AbstractProblem, models: Sequence[AbstractFactorization]
) -> None:
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


def _check_labels(run_labels: Mapping[str, Sequence[Any]], runs: int) -> None:
    for name, values in run_labels.items():
        if len(values) != runs:
            raise InputError(
                f"The run label {name!r} has {len(values)} value(s) for {runs} "
                "run(s); give one per run."
            )


def _check_selection(
    select: str | None, stop: Stop, observables: Sequence[AbstractObservable]
) -> None:
    scalars = [each.name for each in observables if not each.per_component]
    if select is not None and select not in scalars:
        raise InputError(
            f"There is no observable {select!r} to select by; choose among "
            f"{', '.join(scalars)}."
        )
    if stop.flat_steps is not None and select is None:
        raise InputError("flat_steps needs `select`, the observable it waits on.")


def _check_memory(
    saves: int,
    models: Sequence[AbstractFactorization],
    observables: Sequence[AbstractObservable],
) -> None:
    numbers = sum(models[0].components if o.per_component else 1 for o in observables)
    size = 8 * saves * numbers * len(models)
    if size > _RECORD_BYTES:
        raise InputError(
            f"Measuring {saves} times along {len(models)} run(s) of "
            f"{models[0].components} components would hold {size / 2**30:.1f} GiB; "
            "save at fewer steps or measure less."
        )
