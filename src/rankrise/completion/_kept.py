"""The state of a completion on disk: models that are made, and the one under way."""

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise.completion._baseline import Baseline
from rankrise.completion._completion import Member
from rankrise.completion._path import Path, WalkState, points_of
from rankrise.data import Observations
from rankrise.runs import Arrays, Checkpoint, read_checkpoint, write_checkpoint

# Which part a model is not shown, and whether its neighbouring rows may be alike.
Key = tuple[int, bool]


class Kept:
    """What a checkpoint holds.

    Attributes
    ----------
    members
        That are made.
    walk
        The one under way, None between two.
    """

    def __init__(
        self, checkpoint: Checkpoint | None, settings: dict[str, Any], order: int
    ) -> None:
        self.members: dict[Key, Member] = {}
        self.walk: tuple[Key, WalkState] | None = None
        self._checkpoint, self._settings = checkpoint, settings
        self._written = time.monotonic()
        if checkpoint is not None and checkpoint.resume and checkpoint.path.exists():
            arrays, facts, _ = read_checkpoint(checkpoint.path, settings)
            self._read(arrays, facts, order)

    def state_of(self, key: Key) -> WalkState | None:
        """Where this model's path was left off, if it was."""
        return self.walk[1] if self.walk and self.walk[0] == key else None

    @property
    def is_due(self) -> bool:
        """Whether it is time to write."""
        checkpoint = self._checkpoint
        since = time.monotonic() - self._written
        return checkpoint is not None and since >= checkpoint.seconds

    def write(self) -> None:
        """Write all of it, where there is a checkpoint."""
        if self._checkpoint is None:
            return
        arrays: Arrays = {}
        members = []
        for place, ((number, smooth), member) in enumerate(self.members.items()):
            arrays |= _named(f"member{place}-mode", member.factor_matrices)
            arrays |= _named(f"member{place}-path", member.path.factors)
            arrays |= _named(f"member{place}-effects", member.baseline.effects)
            members.append(
                {
                    "key": [number, smooth],
                    "points": [list(point) for point in member.path.points],
                    "best": member.path.best,
                    "offset": member.baseline.offset,
                    "scale": member.baseline.scale,
                }
            )
        walk = None
        if self.walk is not None:
            key, state = self.walk
            arrays |= _named("walk-mode", state.factors)
            arrays |= _named("walk-best", state.best)
            walk = {"key": list(key), "facts": dict(state.facts)}
        write_checkpoint(
            self._checkpoint.path,
            arrays,
            {"members": members, "walk": walk},
            fingerprint=self._settings,
        )
        self._written = time.monotonic()

    def _read(self, arrays: Arrays, facts: dict[str, Any], order: int) -> None:
        for place, member in enumerate(facts["members"]):
            number, smooth = member["key"]
            effects = tuple(
                arrays[f"member{place}-effects{mode}"]
                for mode in range(order)
                if f"member{place}-effects{mode}" in arrays
            )
            path = Path(
                points_of(member["points"]),
                member["best"],
                _of(arrays, f"member{place}-path", order),
            )
            self.members[number, smooth] = Member(
                number,
                _of(arrays, f"member{place}-mode", order),
                Baseline(member["offset"], member["scale"], effects),
                path,
                smooth,
            )
        if facts["walk"] is not None:
            number, smooth = facts["walk"]["key"]
            state = WalkState(
                facts["walk"]["facts"],
                _of(arrays, "walk-mode", order),
                _of(arrays, "walk-best", order),
            )
            self.walk = (number, smooth), state


def fingerprint(observations: Observations, completing: Any) -> dict[str, Any]:
    """What a completion must agree with to go on from a checkpoint."""
    content = hashlib.sha256()
    for array in (observations.indices, observations.values, observations.weights):
        if array is not None:
            content.update(np.ascontiguousarray(array).tobytes())
    settings = {
        each.name: repr(getattr(completing, each.name))
        for each in dataclasses.fields(completing)
        # It says when to leave off, not what comes out.
        if each.name != "max_seconds"
    }
    return {
        **settings,
        "mode_dims": list(observations.mode_dims),
        "observations": content.hexdigest(),
    }


def _named(name: str, matrices: Sequence[npt.NDArray[Any]]) -> Arrays:
    return {f"{name}{mode}": matrix for mode, matrix in enumerate(matrices)}


def _of(arrays: Arrays, name: str, order: int) -> tuple[npt.NDArray[Any], ...]:
    return tuple(arrays[f"{name}{mode}"] for mode in range(order))
