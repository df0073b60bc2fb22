"""The host's side of a run: schedule, clock, checkpoints, interrupts."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rankrise._devices import agreed
from rankrise._errors import InputError
from rankrise.runs import Arrays, Checkpoint, Ending, Progress, Watch, as_part
from rankrise.solvers._loop import SAVES_A_CHUNK, Code, Plan, RunState, Stop
from rankrise.solvers._runs import Runs
from rankrise.trajectories import (
    Outcome,
    Recording,
    Schedule,
    Trajectory,
    build_dataset,
)

# A chunk of the compiled loop takes about this long: between two chunks progress is
# shown, checkpoints are written and interrupts are heard.
_CHUNK_SECONDS = 0.5


class Session:
    """Advances runs through their schedule, chunk by chunk."""

    def __init__(
        self,
        plan: Plan,
        runs: Runs,
        *,
        stop: Stop,
        schedule: Schedule,
        settings: dict[str, Any],
    ) -> None:
        self._plan = plan
        self._stop = stop
        self._schedule = schedule
        self._settings = settings
        self._runs = runs
        self._segment = 0
        self._seconds = 0.0
        self._compiled_earlier = 0.0

    def run(
        self,
        max_seconds: float | None,
        checkpoint: Checkpoint | None,
        progress: Callable[[Progress], None] | None,
    ) -> Ending | None:
        """Advance until every run ended; says what cut off the rest."""
        with Watch(
            checkpoint=checkpoint, fingerprint=self._settings, max_seconds=max_seconds
        ) as watch:
            self._resume(watch)
            ending, budget = None, 1
            while ending is None and not self._is_done():
                budget = self._advance(budget)
                if progress is not None:
                    with as_part(*self._runs.batch):
                        progress(self._progress())
                if self._is_done():
                    self._next_batch()
                if self._is_done():
                    break
                ending = watch.ending()
                if ending is None and watch.is_due:
                    watch.save(*self._packed())
            watch.save(*self._packed())
            if ending is not None:
                self._runs.measure_now()
        return ending

    @property
    def _seconds_compile(self) -> float:
        return self._compiled_earlier + self._runs.seconds_compile

    def _is_done(self) -> bool:
        """Whether this batch of runs is."""
        last_step, last_time = self._schedule.steps[-1], self._schedule.times[-1]
        # A schedule of steps can go on beyond the end time.
        over = self._runs.are_over(int(last_step), float(last_time))
        return over or self._segment * SAVES_A_CHUNK >= len(self._schedule.steps)

    def _advance(self, budget: int) -> int:
        """Take up to `budget` steps; says how many to take next."""
        first = self._segment * SAVES_A_CHUNK
        segment = slice(first, first + SAVES_A_CHUNK)
        before, began = self._runs.steps(), time.monotonic()
        arrived = self._runs.advance(
            self._schedule.steps[segment], self._schedule.times[segment], budget
        )
        seconds = time.monotonic() - began
        self._seconds += seconds
        if math.isnan(self._runs.time()) and np.isfinite(self._schedule.times[-1]):
            raise InputError(
                "This solver has no reading on the clock of gradient flow, so it "
                "reaches no time; give max_steps, and saves at steps."
            )
        if arrived:
            self._segment += 1
            if not self._is_done():
                self._runs.next_segment()
        return agreed(_adapted(budget, self._runs.steps() - before, seconds))

    def _next_batch(self) -> None:
        if self._runs.next_batch():
            self._segment = 0

    def _progress(self) -> Progress:
        end_time = float(self._schedule.times[-1])
        return Progress(
            step=self._runs.steps(),
            max_steps=int(self._schedule.steps[-1]),
            running=self._runs.running(),
            losses=self._runs.losses(),
            time=self._runs.time(),
            end_time=end_time if math.isfinite(end_time) else None,
        )

    def _packed(self) -> tuple[Arrays, dict[str, Any]]:
        arrays, facts = self._runs.pack()
        return arrays, {
            **facts,
            "segment": self._segment,
            "seconds_run": self._seconds,
            "seconds_compile": self._seconds_compile,
        }

    def _resume(self, watch: Watch) -> None:
        """Go on from the state there is; at least one step, however short the time."""
        saved = watch.load()
        if saved is None:
            return
        arrays, facts = saved
        self._runs.unpack(arrays, facts)
        self._segment = int(facts["segment"])
        self._seconds = float(facts["seconds_run"])
        self._compiled_earlier = float(facts["seconds_compile"])
        if self._is_done():
            self._next_batch()

    def trajectory(
        self, cut_off: Ending | None, recording: Recording, single: bool
    ) -> Trajectory:
        """What was measured and where the runs ended."""
        states = self._runs.states()
        dataset = build_dataset(
            self._runs.histories(), self._plan.observables, recording, single=single
        )
        return Trajectory(
            dataset=dataset,
            models=tuple(
                state.model if state.best is None else state.best.model
                for state in states
            ),
            outcomes=tuple(self._outcome(state, cut_off) for state in states),
            seconds_compile=self._seconds_compile,
            seconds_run=self._seconds,
            _single=single,
        )

    def _outcome(self, state: RunState, cut_off: Ending | None) -> Outcome:
        result, reason = self._words(state, cut_off)
        return Outcome(
            result,
            reason,
            int(state.step),
            int(state.evaluations),
            best_step=None if state.best is None else int(state.best.step),
            rejected_steps=int(state.rejected),
        )

    def _words(self, state: RunState, cut_off: Ending | None) -> tuple[Ending, str]:
        stop, steps = self._stop, int(state.step)
        end_time = float(self._schedule.times[-1])
        match int(state.outcome):
            case Code.CONVERGED:
                below = f"loss below {stop.loss_tolerance:g}"
                if stop.gradient_tolerance is not None:
                    below += f" or gradient norm below {stop.gradient_tolerance:g}"
                return Ending.CONVERGED, f"{below} for {stop.patience} steps"
            case Code.STATIONARY:
                below = f"gradient norm below {stop.gradient_tolerance:g}"
                if stop.loss_tolerance is not None:
                    below += f" or loss below {stop.loss_tolerance:g}"
                return Ending.CONVERGED, f"{below} for {stop.patience} steps"
            case Code.DIVERGED if steps == 0:
                return Ending.DIVERGED, "not finite at the start; lower the init scale"
            case Code.DIVERGED:
                lost = f"no longer finite after step {steps}"
                return Ending.DIVERGED, f"{lost}; lower the learning rate"
            case Code.STALLED:
                short = f"no step is short enough after step {steps}"
                return Ending.STOPPED, f"{short}; the loss may not be finite near it"
            case Code.FLAT:
                flat = f"had no new minimum for {stop.flat_steps} steps"
                return Ending.STOPPED, f"{self._plan.select} {flat}"
        match cut_off:
            case Ending.INTERRUPTED:
                return cut_off, f"interrupted after step {steps}"
            case Ending.TIME_LIMIT:
                return cut_off, f"time limit reached after step {steps}"
        # In the precision of the clock, which rounds the end time.
        if np.asarray(state.time) >= np.asarray(end_time, state.time.dtype):
            return Ending.STOPPED, f"end time {end_time:g} reached"
        return Ending.STOPPED, f"step limit of {steps} reached"


def _adapted(budget: int, taken: int, seconds: float) -> int:
    # Where chunks end does not change any number, so their length may follow the
    # clock. The first chunks include compilation, so growth is bounded.
    if taken == 0:
        return budget
    fitting = taken * _CHUNK_SECONDS / max(seconds, 1e-4)
    return max(1, min(int(fitting), 8 * budget, 2**30))
