"""One table of all runs, and all their trajectories on one axis."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise._atomic import atomic_path
from rankrise._errors import InputError, reason
from rankrise._netcdf import netcdf_bytes
from rankrise._optional import imported
from rankrise._version import __version__
from rankrise.runs import Ending
from rankrise.sweeps._commands import COMMANDS
from rankrise.sweeps._plan import Run
from rankrise.sweeps._run_folder import folder_of, is_done, read_summary
from rankrise.sweeps._settings import SweepSettings

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

TABLE, TRAJECTORIES = "sweep.parquet", "sweep.nc"
NOT_DONE = "not done"
_TRAJECTORY = "trajectory.nc"
# Of a trajectory, what is no measurement along the saves.
_APART = ("valid", "component_index")


def require_parquet() -> None:
    """Refuse to begin what could not be written in the end."""
    imported("pyarrow", "cluster", "The table of a sweep, a Parquet file, needs")


def write_tables(
    out: Path,
    settings: SweepSettings,
    runs: Sequence[Run],
    failures: Mapping[str, str],
) -> None:
    """Write `sweep.parquet`, and `sweep.nc` where runs have trajectories."""
    table = make_table(out, settings, runs, failures)
    with atomic_path(out / TABLE) as temporary:
        table.to_parquet(temporary, index=False)
    done = with_trajectories(out, runs)
    if done:
        content = netcdf_bytes(join_trajectories(out, table, done))
        with atomic_path(out / TRAJECTORIES) as temporary:
            temporary.write_bytes(content)


def make_table(
    out: Path,
    settings: SweepSettings,
    runs: Sequence[Run],
    failures: Mapping[str, str],
) -> "pd.DataFrame":
    """A row a run: where it lies on the axes, how it ended, what it came to."""
    import pandas as pd

    command, rows = COMMANDS[settings.command], []
    for run in runs:
        row: dict[str, Any] = {"run": run.key}
        at = command.complete(run.given)
        row |= {name: at.pop(name) for name in settings.axis_names}
        figures = dict.fromkeys(command.merits)
        ending, why, seconds = NOT_DONE, "", None
        if is_done(out, run):
            summary = read_summary(out, run)
            try:
                figures |= command.figures(summary)
                ending, why = command.ended(summary)
                seconds = command.seconds(summary)
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"The summary in {folder_of(out, run)} is not one of "
                    f"{settings.command}; remove that folder and the run is done again."
                ) from error
        elif run.key in failures:
            ending, why = str(Ending.FAILED), failures[run.key]
        row |= {"ending": ending, "reason": why, **figures, "seconds": seconds}
        # A list of which a run has one value has that under its own name.
        row |= {n: v for n, v in at.items() if n not in {**row, **command.single}}
        rows.append(row)
    numbers = {*command.merits, "seconds"}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return pd.DataFrame(
        {
            name: np.array(values, float) if name in numbers else _column(values)
            for name, values in columns.items()
        }
    )


def with_trajectories(out: Path, runs: Sequence[Run]) -> list[Run]:
    """Runs whose trajectory is there."""
    return [run for run in runs if (folder_of(out, run) / _TRAJECTORY).is_file()]


def join_trajectories(
    out: Path, table: "pd.DataFrame", runs: Sequence[Run]
) -> "xr.Dataset":
    """Saves of all runs one after another, each with the place of its run.

    It is an indexed ragged array in the sense of the CF conventions: runs may have any
    number of saves, and of components, which are padded with NaN.
    """
    import xarray as xr

    parts = [_read(folder_of(out, run) / _TRAJECTORY) for run in runs]
    saves = [len(part["step"]) for part in parts]
    most = max((len(part.get("component_index", ())) for part in parts), default=0)
    names = {name: None for part in parts for name in part if name not in _APART}
    variables: dict[str, Any] = {}
    for name in names:
        columns = [
            _filled(part, name, n, most) for part, n in zip(parts, saves, strict=True)
        ]
        wide = any(column.ndim == 2 for column in columns)
        if wide:
            columns = [c if c.ndim == 2 else c[:, None] * np.nan for c in columns]
        variables[name] = (
            ("save", "component") if wide else "save",
            np.concatenate(columns),
        )
    run_index = np.repeat(np.arange(len(runs)), saves)
    variables["run_index"] = ("save", run_index, {"instance_dimension": "run"})
    if most:
        index = [np.asarray(part.get("component_index", [])) for part in parts]
        padded = [np.pad(i, (0, most - len(i)), constant_values=-1) for i in index]
        variables["component_index"] = (("run", "component"), np.array(padded))
    rows = table.set_index("run").loc[[run.key for run in runs]]
    coordinates: dict[str, Any] = {"run": [run.key for run in runs]}
    for name in rows.columns:
        values = rows[name].to_numpy()
        if values.dtype == object:
            values = np.array(["" if v is None else str(v) for v in values])
        coordinates[str(name)] = ("run", values)
    taken = {*variables, "save", "component"}
    return xr.Dataset(
        variables,
        {name: c for name, c in coordinates.items() if name not in taken},
        {
            "title": "Trajectories of a sweep",
            "comment": "run_index says which run a save belongs to, by its place",
            "featureType": "trajectory",
            "rankrise": __version__,
        },
    )


def _read(path: Path) -> dict[str, Any]:
    """Numbers of a trajectory, read as they lie, which is faster than by xarray."""
    import h5py

    whole, found = h5py.h5s.ALL, {}
    try:
        with h5py.File(path) as file:
            for name in h5py.h5g.open(file.id, b"/"):
                stored = h5py.h5d.open(file.id, name)
                numeric = stored.dtype.kind in "iuf" and len(stored.shape) in (1, 2)
                # Of a dimension alone there are zeros.
                if numeric and name not in (b"save", b"component"):
                    values = np.empty(stored.shape, stored.dtype)
                    stored.read(whole, whole, values)
                    found[name.decode()] = values
        saves = len(found["step"])
    # A damaged file can fail anywhere inside a reader, with any exception.
    except Exception as error:
        raise InputError(
            f"{path} is no trajectory ({reason(error)}); remove its folder, and the "
            "run is done again."
        ) from error
    return {
        name: values
        for name, values in found.items()
        if len(values) == saves or name in _APART
    }


def _filled(part: Mapping[str, Any], name: str, saves: int, most: int) -> Any:
    values = np.asarray(part.get(name, np.full(saves, np.nan)))
    if values.ndim == 2:
        missing = most - values.shape[1]
        values = np.pad(
            values.astype(float, copy=False),
            ((0, 0), (0, missing)),
            constant_values=np.nan,
        ).astype(values.dtype)
    return values


def _column(values: list[Any]) -> Any:
    """Settings as one kind: what is a list, or mixed, as text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and None not in values:
        return np.array(values)
    if kinds <= {int, float}:
        return np.array(values, float)
    if len(kinds) == 1 and kinds <= {bool, str}:
        return values
    return [None if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    with suppress(TypeError, ValueError):
        return json.dumps(value)
    return str(value)
