"""What a sweep is: a command, what stays the same, what varies."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from rankrise._errors import InputError, reason
from rankrise._settings import LARGEST_WHOLE, Settings
from rankrise.sweeps._axes import axis_values
from rankrise.sweeps._conditions import Condition

_LARGEST_FILE = 1 << 20
CommandName = Literal["dynamics", "complete", "complexity", "verify"]


class SweepSettings(Settings):
    """A command, its settings that stay the same, and axes along which others vary.

    Examples
    --------
    >>> import rankrise as rr
    >>> settings = rr.SweepSettings(
    ...     command="dynamics",
    ...     base={"mode_dim": 4, "target_rank": 2, "observations": 40},
    ...     axes={"init_scales": [0.1, 0.05], "order": {"from": 3, "to": 4}},
    ...     seeds=5,
    ... )
    >>> len(settings.runs())
    20
    """

    command: CommandName
    """Whose runs they are: dynamics, complete, complexity or verify."""
    base: Mapping[str, Any] = {}
    """Settings of all runs, under their names; for complete `file`, for complexity
    `dataset`, for verify `claims` and `problem` too."""
    axes: Mapping[str, Any] = {}
    """Values of each setting that varies, all combined with all others: a list, or a
    range such as { from = 1, to = 5 } or { from = 0.01, to = 0.1, count = 5, spacing =
    "log" }."""
    zip: tuple[Mapping[str, Any], ...] = ()
    """Axes that go along together, value by value, each group combined with all
    else."""
    seeds: int | tuple[int, ...] | None = None
    """An axis of seeds: how many, counted from 0, or which."""
    where: str | tuple[str, ...] = ()
    """Conditions on settings, such as "target_rank <= mode_dim"; other runs are left
    out."""
    together: int | None = None
    """Runs on one problem that are computed as one batch; by default 1 on a CPU and 16
    on a GPU. They round differently for other numbers."""

    @field_validator("where", "seeds", mode="before")
    @classmethod
    def _list(cls, given: Any) -> Any:
        return tuple(given) if isinstance(given, list) else given

    def check(self) -> None:
        self.require_positive("together")
        if isinstance(self.seeds, int):
            self.require_positive("seeds")
        seen = dict.fromkeys(self.base, "[base]")
        for place, group in self.groups:
            for name in group:
                if name in seen:
                    raise InputError(
                        f"The setting `{name}` is in {seen[name]} and in {place}; name "
                        "it once."
                    )
                seen[name] = place
                self._check_setting(name, place)
            lengths = {name: len(values) for name, values in group.items()}
            if len(set(lengths.values())) > 1:
                told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
                raise InputError(
                    f"Axes under one [[zip]] go along together, but {told} values; "
                    "give as many to each."
                )
        for name in self.base:
            self._check_setting(name, "[base]")
        known = {*self._command.names, *self._command.single.values()}
        for condition in self.conditions:
            for name in sorted(condition.names - known):
                raise InputError(
                    f"The condition {condition.text!r} speaks of `{name}`, which is no "
                    f"setting of {self.command}{_nearest(name, known)}."
                )

    @property
    def conditions(self) -> list[Condition]:
        """What must hold for a run."""
        texts = (self.where,) if isinstance(self.where, str) else self.where
        return [Condition(text) for text in texts]

    @property
    def groups(self) -> list[tuple[str, dict[str, list[Any]]]]:
        """Where each stands, and axes that go along together: values by name."""
        groups = [
            ("[axes]", {name: axis_values(name, given)})
            for name, given in self.axes.items()
        ]
        for group in self.zip:
            if not group:
                raise InputError("A [[zip]] is empty; give it at least one axis.")
            values = {name: axis_values(name, given) for name, given in group.items()}
            groups.append(("[[zip]]", values))
        if self.seeds is not None:
            seeds = self.seeds
            if isinstance(seeds, int):
                seeds = tuple(range(seeds)) if seeds <= LARGEST_WHOLE else ()
            groups.append(("`seeds`", {"seed": axis_values("seeds", seeds)}))
        return groups

    @property
    def axis_names(self) -> tuple[str, ...]:
        """What varies, in the order of the axes, under the names of runs."""
        names = [name for _, group in self.groups for name in group]
        return tuple(self._command.single.get(name, name) for name in names)

    @property
    def axis_sizes(self) -> dict[str, int]:
        """How many values each group of axes has, by its names."""
        sizes = {}
        for _, group in self.groups:
            names = [self._command.single.get(name, name) for name in group]
            sizes[" and ".join(names)] = len(next(iter(group.values())))
        return sizes

    def runs(self, most: int | None = None) -> Any:
        """All runs of the sweep; see `make_runs`."""
        from rankrise.sweeps._plan import MOST_RUNS, make_runs

        return make_runs(self, MOST_RUNS if most is None else most)

    @classmethod
    def read(cls, path: Path | str) -> "SweepSettings":
        """The settings in a TOML file.

        Raises
        ------
        InputError
            Where there is none, or it holds something else.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"There is no file {path}; give a TOML file of a sweep.")
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path} has more than a megabyte, so it is no sweep.")
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        # A number of thousands of digits is a ValueError of no kind of its own.
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path} is not TOML ({reason(error)}); give lines such as "
                '`command = "dynamics"`.'
            ) from error
        return cls(**content)

    @property
    def _command(self) -> Any:
        from rankrise.sweeps._commands import COMMANDS

        return COMMANDS[self.command]

    def _check_setting(self, name: str, place: str) -> None:
        known = self._command.names
        if name not in known:
            what = "the axis" if place != "[base]" else "the setting"
            raise InputError(
                f"{place} has {what} `{name}`, which is no setting of {self.command}"
                f"{_nearest(name, known)}."
            )


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; the nearest is `{near[0]}`" if near else ""
