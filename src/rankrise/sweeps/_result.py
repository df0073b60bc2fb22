"""What a sweep found."""

from __future__ import annotations

import functools as ft
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankrise._environment import environment
from rankrise._errors import InputError, reason
from rankrise._html import html_of
from rankrise._strict import strict
from rankrise.drawing import Plotted
from rankrise.runs import Ending
from rankrise.sweeps._commands import COMMANDS
from rankrise.sweeps._settings import SweepSettings
from rankrise.sweeps._table import (
    NOT_DONE,
    TABLE,
    TRAJECTORIES,
    join_trajectories,
    make_table,
    with_trajectories,
)

# Columns that a message names.
_LISTED = 10

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from rankrise.sweeps._curves import Curves
    from rankrise.sweeps._staircases import Staircases
    from rankrise.trajectories import Trajectory


@dataclass(frozen=True, eq=False)
class SweepResult:
    """All runs of a sweep, those that failed too.

    Attributes
    ----------
    folder
        Where it lies.
    table
        A pandas.DataFrame with a row a run: `run` (the name of its folder under
        `runs`), its place on the axes, `ending` and `reason`, figures of merit, seconds
        and all settings.
    """

    folder: Path
    settings: SweepSettings
    table: pd.DataFrame

    @classmethod
    def load(cls, folder: Path | str) -> SweepResult:
        """Read what `sweep` wrote; see `load_sweep`."""
        import pandas as pd

        from rankrise.sweeps._table import require_parquet

        folder = Path(folder)
        settings = read_settings(folder)
        path, runs = folder / TABLE, settings.runs(10**9)
        if path.exists():
            require_parquet()
            try:
                table = pd.read_parquet(path)
            except Exception as error:
                raise InputError(
                    f"{path} is not the table of a sweep ({reason(error)}); run the "
                    "sweep again, which repeats no run."
                ) from error
            if "run" not in table or {*table["run"]} == {run.key for run in runs}:
                _check_table(path, table, settings)
                return cls(folder, settings, table)
        # It goes on, or was killed, and may have other axes than before.
        table = make_table(folder, settings, runs, {})
        return cls(folder, settings, table)

    @property
    def axes(self) -> tuple[str, ...]:
        """Settings that vary, by the names of columns."""
        return self.settings.axis_names

    @property
    def merits(self) -> tuple[str, ...]:
        """Columns with figures of merit, those that matter most first."""
        return tuple(COMMANDS[self.settings.command].merits)

    @property
    def failed(self) -> pd.DataFrame:
        """Runs that failed, with their reasons."""
        return self.table[self.table["ending"] == str(Ending.FAILED)]

    @property
    def not_done(self) -> int:
        """How many runs were not come to."""
        return int((self.table["ending"] == NOT_DONE).sum())

    @property
    def ending(self) -> Ending:
        """`converged` once every run was tried, or `interrupted`."""
        return Ending.INTERRUPTED if self.not_done else Ending.CONVERGED

    @ft.cached_property
    def trajectories(self) -> xr.Dataset:
        """Saves of all runs on one axis, `save`; `run_index` is the place of the run.

        Coordinates of `run` are the columns of the table.
        """
        import xarray as xr

        path = self.folder / TRAJECTORIES
        done = with_trajectories(self.folder, self.settings.runs(10**9))
        if not path.is_file():
            if not done:
                raise InputError(
                    f"There is no {path}: runs of {self.settings.command} have no "
                    "trajectories, or none is done."
                )
            return join_trajectories(self.folder, self.table, done)
        try:
            with xr.open_dataset(path, engine="h5netcdf") as file:
                found = file.load()
            if {run.key for run in done} <= {*found["run"].to_numpy()}:
                return found
        except Exception as error:
            raise InputError(
                f"{path} cannot be read ({reason(error)}); run the sweep again, which "
                "repeats no run."
            ) from error
        # It is from before the sweep went on.
        return join_trajectories(self.folder, self.table, done)

    def trajectory(self, run: str) -> Trajectory:
        """The trajectory of one run, by its name in the table."""
        from rankrise.trajectories import Trajectory

        if run not in self.table["run"].tolist():
            raise InputError(f"There is no run {run!r} in the table.")
        return Trajectory.load(self.folder / "runs" / run / "trajectory.nc")

    def curves(
        self, merit: str | None = None, *, against: str | None = None, by: Any = None
    ) -> Curves:
        """A figure of merit against an axis: median and quartiles over all other runs.

        Parameters
        ----------
        merit
            A column of the table, by default the first figure of merit.
        against
            An axis, by default the numbers that take most values.
        by
            An axis, or several, each of whose values has a curve of its own; by
            default all that are neither `against` nor seeds.

        Raises
        ------
        InputError
            Where there is no such column.
        """
        from rankrise.sweeps._curves import make_curves

        return make_curves(self, merit, against, by)

    def staircases(
        self, rows: str | None = None, columns: str | None = None
    ) -> Staircases:
        """Component norms as they rise, in a grid over two axes.

        By default over the longest two; of all others, but seeds, the first value is
        shown. Runs of one panel lie over one another.
        """
        from rankrise.sweeps._staircases import make_staircases

        return make_staircases(self, rows, columns)

    def pictures(self) -> dict[str, Plotted]:
        """Pictures that are drawn of any sweep, by the names of their files."""
        found: dict[str, Plotted] = {}
        # A sweep can be of any form; what cannot be drawn as it is, is asked for.
        with suppress(InputError):
            found["sweep"] = self.curves()
        if (self.folder / TRAJECTORIES).is_file():
            with suppress(InputError):
                found["staircases"] = self.staircases()
        return found

    def __repr__(self) -> str:
        failed, missing = len(self.failed), self.not_done
        told = f", {failed} failed" * bool(failed)
        told += f", {missing} not done" * bool(missing)
        axes = ", ".join(f"{n} {self.table[n].nunique()}" for n in self.axes)
        return (
            f"<SweepResult of {len(self.table)} runs of {self.settings.command}{told}\n"
            f" axes: {axes}>"
        )

    def _repr_html_(self) -> str:
        shown: Sequence[str] = (*self.axes, "ending", *self.merits[:4])
        table = [
            {name: _short(row[name]) for name in shown}
            for _, row in self.table.head(20).iterrows()
        ]
        facts = {
            "runs": str(len(self.table)),
            "failed": str(len(self.failed)),
            "not done": str(self.not_done),
        }
        return html_of("SweepResult", facts, table, self.ending.warning)


def load_sweep(folder: Path | str) -> SweepResult:
    """Read what `sweep` or `rankrise sweep` wrote, also while it goes on.

    Raises
    ------
    InputError
        If the folder is of no sweep, or a file in it is damaged.

    Examples
    --------
    >>> import tempfile, rankrise as rr
    >>> settings = {
    ...     "command": "dynamics",
    ...     "base": {"mode_dim": 3, "order": 3, "target_rank": 1, "components": 2},
    ...     "axes": {"init_scales": [0.3, 0.1]},
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = rr.sweep(settings, folder, workers=0)
    ...     found = rr.load_sweep(folder)
    >>> len(found.table)
    2
    """
    return SweepResult.load(folder)


def summarize_sweep(found: SweepResult) -> dict[str, Any]:
    """The summary of `rankrise sweep`: how it ended, and what failed."""
    failed = found.failed[["run", *found.axes, "reason"]]
    return strict(
        {
            "settings": found.settings.model_dump(mode="json"),
            **environment(),
            "result": str(found.ending),
            "sweep_runs": len(found.table),
            "not_done": found.not_done,
            "failed": json.loads(failed.to_json(orient="records")),
        }
    )


def _check_table(path: Path, table: pd.DataFrame, settings: SweepSettings) -> None:
    """Refuse a table of something else, though it lies where that of a sweep does."""
    merits = [*COMMANDS[settings.command].merits]
    for name in ("run", *settings.axis_names, "ending", "reason", *merits):
        if name not in table:
            what = f"it has no column {name!r}"
        elif name in merits and table[name].dtype.kind not in "iuf":
            what = f"its column {name!r} holds no numbers"
        else:
            continue
        columns = ", ".join(map(repr, table.columns[:_LISTED].tolist()))
        raise InputError(
            f"{path} is not the table of this sweep: {what}, and there are {columns}; "
            "run the sweep again, which repeats no run."
        )


def read_settings(folder: Path) -> SweepSettings:
    """The settings in the folder of a sweep."""
    path = folder / "sweep.json"
    if not path.is_file():
        raise InputError(f"The folder {folder} is of no sweep: it has no {path.name}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path} is not JSON ({reason(error)}).") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} does not hold the settings of a sweep.")
    return SweepSettings(**content)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
