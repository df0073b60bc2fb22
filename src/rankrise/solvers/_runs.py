"""The states of several runs: those on the device, those that ended, their records."""

import math
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from rankrise._compiling import prepare
from rankrise._devices import on_all
from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.factorizations import AbstractFactorization
from rankrise.runs import Arrays
from rankrise.solvers._loop import (
    SAVES_A_CHUNK,
    Code,
    Plan,
    RunState,
    Targets,
    advance,
    begin,
    measure,
)

Record = dict[str, list[npt.NDArray[Any]]]


class Runs:
    """Runs on one problem, advanced as one batch, or as several one after the other.

    Targets come in segments of up to `SAVES_A_CHUNK`, and every run waits at the end
    of a segment for the others. Only there are runs that ended taken out of the batch,
    when it can be halved, so that the slowest do not carry the others along: a moment
    the settings fix, because a batch of another size may round differently and a
    resumed run must not.
    """

    def __init__(
        self, plan: Plan, models: list[AbstractFactorization], together: int
    ) -> None:
        self._plan = plan
        self._models = models
        self._together = together
        self._in_batch = list(range(len(models)))[:together]
        self._states = _stack([self._begun(run) for run in self._in_batch])
        self._ended: dict[int, RunState] = {}
        self.records: list[Record] = [{} for _ in models]
        self.seconds_compile = 0.0
        self._compile()

    @property
    def count(self) -> int:
        """How many runs, ended or not."""
        return len(self.records)

    @property
    def batch(self) -> tuple[str, int, int]:
        """Which of several batches this is: its name, its place from 0, their count."""
        count = -(-self.count // self._together)
        place = count - 1 - -(-len(self._waiting) // self._together)
        return f"batch {place + 1} of {count}" if count > 1 else "", place, count

    def running(self) -> int:
        """How many runs of the batch have not ended."""
        return int(np.sum(np.asarray(self._states.outcome) == Code.RUNNING))

    def are_over(self, last_step: int, last_time: float) -> bool:
        """Whether every run of the batch ended or is at its limit."""
        ended = np.asarray(self._states.outcome) != Code.RUNNING
        at_step = np.asarray(self._states.step) >= last_step
        at_time = np.asarray(self._states.time) >= last_time
        return bool((ended | at_step | at_time).all())

    def next_batch(self) -> bool:
        """Put the runs that wait in the place of those that are done, if any do."""
        waiting = self._waiting[: self._together]
        if not waiting:
            return False
        self._ended.update(zip(self._in_batch, _unstack(self._states), strict=True))
        self._in_batch = waiting
        self._states = _stack([self._begun(run) for run in waiting])
        self._compile()
        return True

    def steps(self) -> int:
        """How many steps the run that is furthest has taken."""
        return int(np.asarray(self._states.step).max())

    def time(self) -> float:
        """Where the run that is furthest behind is on the clock of gradient flow."""
        running = np.asarray(self._states.outcome) == Code.RUNNING
        times = np.asarray(self._states.time)
        return float((times[running] if running.any() else times).min())

    def states(self) -> list[RunState]:
        """The state of every run, in their order."""
        states = dict(self._ended)
        states.update(zip(self._in_batch, _unstack(self._states), strict=True))
        states.update((run, self._begun(run)) for run in self._waiting)
        return [states[run] for run in range(self.count)]

    def losses(self) -> tuple[float, ...]:
        """The loss of every run before its last step; infinite before the first."""
        losses = [math.inf] * self.count
        for run, state in self._ended.items():
            losses[run] = float(state.loss)
        batch = np.atleast_1d(np.asarray(self._states.loss))
        for run, loss in zip(self._in_batch, batch, strict=True):
            losses[run] = float(loss)
        return tuple(losses)

    @property
    def _waiting(self) -> list[int]:
        """Runs of later batches."""
        begun = {*self._in_batch, *self._ended}
        return [run for run in range(self.count) if run not in begun]

    def _begun(self, run: int) -> RunState:
        return begin(self._plan, on_all(self._models[run]))

    def advance(self, steps: npt.NDArray[np.int64], times: Values, budget: int) -> bool:
        """Move towards a segment of targets; whether all have ended or are there."""
        before = np.atleast_1d(np.asarray(self._states.position))
        self._states, measured = self._call(steps, times, budget)
        after = np.atleast_1d(np.asarray(self._states.position))
        self._record(measured, before, after)
        ended = np.atleast_1d(np.asarray(self._states.outcome)) != Code.RUNNING
        return bool((ended | (after == len(steps))).all())

    def next_segment(self) -> None:
        """Begin a new segment with the runs that have not ended."""
        self._compact()
        positions = jnp.zeros_like(self._states.position)
        self._states = eqx.tree_at(lambda s: s.position, self._states, positions)

    def measure_now(self) -> None:
        """Record where the runs are, without a trace in their states."""
        measured = jax.block_until_ready(measure(self._plan, on_all(self._states)))
        first = np.zeros(len(self._in_batch), dtype=np.int64)
        self._record(measured, first, first + 1)
        done = self._in_batch, self._states
        for run in self._waiting:
            self._in_batch, self._states = [run], self._begun(run)
            measured = jax.block_until_ready(measure(self._plan, on_all(self._states)))
            self._record(measured, first[:1], first[:1] + 1)
        self._in_batch, self._states = done

    def _compact(self) -> None:
        """Shrink the batch to the runs that have not ended, to half or less of it."""
        outcomes = np.atleast_1d(np.asarray(self._states.outcome))
        running = np.flatnonzero(outcomes == Code.RUNNING)
        size = 1 << (len(running) - 1).bit_length() if len(running) else 0
        # Every batch size is compiled anew, so a little waste is cheaper than a shrink.
        if not 0 < size <= len(outcomes) // 2:
            return
        others = np.flatnonzero(outcomes != Code.RUNNING)
        rows = np.sort(np.concatenate([running, others[: size - len(running)]]))
        states = _unstack(self._states)
        self._ended.update(
            (self._in_batch[row], states[row])
            for row in range(len(states))
            if row not in rows
        )
        self._in_batch = [self._in_batch[row] for row in rows]
        self._states = _stack([states[row] for row in rows])
        self._compile()

    def _compile(self) -> None:
        # No targets: the loop is compiled for this batch size, and nothing is run.
        began = time.monotonic()
        self._call(np.zeros(0, dtype=np.int64), np.zeros(0), 0)
        self.seconds_compile += time.monotonic() - began

    def _call(
        self, steps: npt.NDArray[np.int64], times: Values, budget: int
    ) -> tuple[RunState, dict[str, Any]]:
        unused = (0, SAVES_A_CHUNK - len(steps))
        targets = Targets(
            jnp.asarray(np.pad(steps, unused).astype(np.int32)),
            jnp.asarray(np.pad(times, unused), self._states.time.dtype),
            jnp.asarray(len(steps), jnp.int32),
        )
        left = jnp.asarray(budget, jnp.int32)
        result: tuple[RunState, dict[str, Any]] = advance(
            self._plan, *on_all((self._states, targets, left))
        )
        return jax.block_until_ready(result)

    def _record(
        self,
        measured: dict[str, Any],
        first: npt.NDArray[np.integer],
        end: npt.NDArray[np.integer],
    ) -> None:
        host = {name: np.asarray(values) for name, values in measured.items()}
        if np.ndim(self._states.step) == 0:
            host = {name: values[None] for name, values in host.items()}
        for row, run in enumerate(self._in_batch):
            record = self.records[run]
            last = record["step"][-1] if record else -1
            for i in range(first[row], end[row]):
                # Targets nearer than a step, or past a limit, are reached together.
                if host["step"][row, i] <= last:
                    continue
                last = host["step"][row, i]
                for name, values in host.items():
                    record.setdefault(name, []).append(values[row, i].copy())

    def histories(self) -> list[Arrays]:
        """What was recorded, run by run, the save as the first axis."""
        return [
            {name: np.stack(values) for name, values in record.items()}
            for record in self.records
        ]

    def pack(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything as arrays and JSON-able facts, for a checkpoint."""
        arrays: Arrays = {}
        for run, state in [(-1, self._states), *self._ended.items()]:
            for place, leaf in enumerate(jax.tree.leaves(state)):
                arrays[f"state_{run}_{place}"] = np.asarray(leaf)
        for run, history in enumerate(self.histories()):
            for name, values in history.items():
                arrays[f"history_{run}_{name}"] = values
        return arrays, {"in_batch": self._in_batch, "ended": list(self._ended)}

    def unpack(self, arrays: Arrays, meta: dict[str, Any]) -> None:
        """Take up what `pack` gave, for runs built from the same settings."""
        template = _unstack(self._states)[0]
        try:
            self._in_batch = [int(run) for run in meta["in_batch"]]
            batch = _stack([template] * len(self._in_batch))
            self._states = _fill(batch, arrays, -1)
            self._ended = {
                int(run): _fill(template, arrays, int(run)) for run in meta["ended"]
            }
            known = set(range(self.count))
            if not known.issuperset([*self._in_batch, *self._ended]):
                raise ValueError(f"it is not of {self.count} run(s)")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The checkpoint is of another run ({error}); start again without "
                "resuming."
            ) from error
        for run in range(self.count):
            prefix = f"history_{run}_"
            self.records[run] = {
                name.removeprefix(prefix): list(values)
                for name, values in arrays.items()
                if name.startswith(prefix)
            }
        self._compile()


def _stack(states: list[RunState]) -> RunState:
    # A batch of one is left without the axis: a batched matrix product of one is
    # several times slower than a plain one on CPU.
    if len(states) == 1:
        return states[0]
    stacked: RunState = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return stacked


def _unstack(states: RunState) -> list[RunState]:
    if states.step.ndim == 0:
        return [states]
    return [
        jax.tree.map(lambda leaf: leaf[row], states)  # noqa: B023
        for row in range(states.step.shape[0])
    ]


def _fill(template: RunState, arrays: Arrays, run: int) -> RunState:
    leaves, structure = jax.tree.flatten(template)
    filled = []
    for place, leaf in enumerate(leaves):
        stored = arrays[f"state_{run}_{place}"]
        if stored.shape != leaf.shape or stored.dtype != leaf.dtype:
            raise ValueError(
                f"an array is {stored.dtype}{stored.shape} where "
                f"{leaf.dtype}{leaf.shape} belongs"
            )
        filled.append(jnp.asarray(stored))
    state: RunState = jax.tree.unflatten(structure, filled)
    return state


def on_device(model: AbstractFactorization) -> AbstractFactorization:
    """The factorization with its arrays on the device."""
    prepare()
    arrays: AbstractFactorization = jax.tree.map(
        lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, model
    )
    return arrays
