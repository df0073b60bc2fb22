"""From the settings of a sweep to its runs, and to batches of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rankrise._checks import check_whole
from rankrise._errors import InputError, reason
from rankrise.sweeps._axes import combinations
from rankrise.sweeps._command import AbstractCommand
from rankrise.sweeps._commands import COMMANDS

if TYPE_CHECKING:
    from rankrise.sweeps._settings import SweepSettings

MOST_RUNS = 10_000
_KEY_DIGITS = 16


@dataclass(frozen=True)
class Run:
    """One run of a sweep.

    Attributes
    ----------
    key
        Made from its command and settings, and from the content of its files: the name
        of its folder, in whatever sweep it comes.
    given
        Its settings, as a mapping that JSON can hold.
    """

    key: str
    command: str
    given: Mapping[str, Any]

    def words(self, names: Sequence[str]) -> str:
        """Where it lies on the axes."""
        at = COMMANDS[self.command].complete(self.given)
        return ", ".join(f"{name} {at[name]}" for name in names) or self.key


Batch = tuple[Run, ...]


def make_runs(settings: "SweepSettings", most: int = MOST_RUNS) -> list[Run]:
    """All runs, in the order of the axes, the last of which varies fastest.

    Raises
    ------
    InputError
        If there are none, more than `most`, two alike, or one that cannot be run.
    """
    check_whole("`max_runs`", most, 1)
    command, conditions = COMMANDS[settings.command], settings.conditions
    runs: dict[str, Run] = {}
    for given in _given(settings, command):
        try:
            if conditions:
                whole = command.complete(given)
                if not all(each.holds(whole) for each in conditions):
                    continue
            run = _run(command, given)
        except InputError as error:
            raise _of_run(settings, command, given, error) from error
        if run.key in runs and given.get("solver") != "limit":
            raise InputError(
                f"Two runs are the same: {run.words(settings.axis_names)}; take one "
                "of them out."
            )
        runs[run.key] = run
        if len(runs) > most:
            raise InputError(
                f"The sweep has more than {most} runs; give fewer values, or allow "
                "more by `max_runs`."
            )
    if not runs:
        raise InputError("The conditions leave no run; change one of them.")
    return list(runs.values())


def make_batches(runs: Sequence[Run], together: int) -> list[Batch]:
    """Runs that are computed as one, in the order of the first of each.

    They depend on the runs alone: a batch that is done again rounds as before.
    """
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        shape = COMMANDS[run.command].shape(run.given) if together > 1 else None
        groups.setdefault(run.key if shape is None else shape, []).append(run)
    return [
        tuple(group[first : first + together])
        for group in groups.values()
        for first in range(0, len(group), together)
    ]


def _given(settings: "SweepSettings", command: AbstractCommand) -> Any:
    """Settings of every combination."""
    base = {name: _as_list(command, name, v) for name, v in settings.base.items()}
    named = {name for _, group in settings.groups for name in group}
    axes: list[dict[str, list[Any]]] = [group for _, group in settings.groups]
    for name in command.single:
        # A run has one value, so that several are an axis.
        several = base.pop(name, None)
        if several is None and name not in named and base.get("solver") != "limit":
            several = command.fields[name].default
        if several is not None:
            axes.append({name: list(several)})
    for chosen in combinations(axes):
        listed = {n: _as_list(command, n, value) for n, value in chosen.items()}
        given = base | listed
        if given.get("solver") == "limit":
            # It goes to zero.
            given.pop("init_scales", None)
        yield given


def _as_list(command: AbstractCommand, name: str, value: Any) -> Any:
    """A value alone stands for a list of it, where a setting takes a list."""
    if command.is_list(name) and not isinstance(value, list | tuple):
        return [value]
    return value


def _run(command: AbstractCommand, given: Mapping[str, Any]) -> Run:
    identity = {"command": command.name, "settings": command.identity(given)}
    try:
        text = json.dumps(identity, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Its settings cannot be written as JSON ({reason(error)}); give numbers, "
            "texts and lists of them."
        ) from error
    key = hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]
    return Run(key, command.name, dict(given))


def _of_run(
    settings: "SweepSettings",
    command: AbstractCommand,
    given: Mapping[str, Any],
    error: InputError,
) -> InputError:
    names = [name for _, group in settings.groups for name in group]
    at = ", ".join(f"{name} {given[name]}" for name in names if name in given)
    return InputError(
        f"A run of {command.name} cannot be done{f' ({at})' * bool(at)}: {error}"
        f"{' Leave it out by `where`.' * bool(at)}"
    )
