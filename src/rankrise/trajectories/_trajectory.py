"""The record of one or several runs, in memory and as a netCDF file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise._atomic import atomic_path
from rankrise._environment import environment
from rankrise._errors import InputError, reason
from rankrise._html import html_of
from rankrise._netcdf import netcdf_bytes
from rankrise.drawing import Drawing, Plotted
from rankrise.factorizations import AbstractFactorization
from rankrise.runs import Ending
from rankrise.tensors.files import check_hdf5
from rankrise.trajectories._observables import Observable
from rankrise.trajectories._recording import Recording

if TYPE_CHECKING:
    import xarray as xr

Clock = Literal["step", "time", "scaled time"]
History = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    result
        `converged` where the loss stayed below its tolerance, `stopped` where a limit
        or the held-out error ended it, ...
    reason
        The same in a few words a person can act on.
    steps, gradient_evaluations
        How many; minibatch gradients count one each.
    best_step
        The step whose factorization was kept, where one was selected.
    rejected_steps
        Attempts of a solver with error control that were taken again, shorter.
    """

    result: Ending
    reason: str
    steps: int
    gradient_evaluations: int
    best_step: int | None = None
    rejected_steps: int = 0


@dataclass(frozen=True, eq=False)
class Trajectory(Plotted):
    """What was measured along a run, where it ended, and why.

    Every variable of `dataset` is also an attribute: `trajectory.loss`,
    `trajectory.component_norms`, ... One run has dimensions (save,) or (save,
    component); several runs on one problem have `run` before them, and a run that
    ended early is padded at the end (`valid` is False there, values are NaN). The
    components kept are the largest, by their last and by their highest norm;
    `component_index` says which columns of the factor matrices they are, so that a
    component keeps its identity over time.

    Attributes
    ----------
    dataset
        An `xarray.Dataset` with units, settings, seed, versions and device in its
        attributes.
    models
        The final factorization of every run (empty when loaded from a file).
    outcomes
        How every run ended.
    seconds_compile, seconds_run
        Wall-clock time.
    """

    dataset: xr.Dataset
    models: tuple[AbstractFactorization, ...]
    outcomes: tuple[Outcome, ...]
    seconds_compile: float = 0.0
    seconds_run: float = 0.0
    _single: bool = field(default=True, repr=False)

    def __repr__(self) -> str:
        runs, saves = len(self.outcomes), self.dataset.sizes["save"]
        names = ", ".join(map(str, self.dataset.data_vars))
        return (
            f"<Trajectory of {runs} run{'s' * (runs > 1)}, {saves} saves: "
            f"{self.result}\n holds {names}>"
        )

    def _repr_html_(self) -> str:
        table = [
            {
                **{
                    name: f"{float(run.dataset[name]):g}"
                    for name in ("init_scale", "start_seed")
                    if name in run.dataset.coords
                },
                "ended": str(outcome.result),
                "why": outcome.reason,
                "steps": str(outcome.steps),
                **{
                    name.replace("_", " "): f"{float(run.dataset[name][-1]):.3g}"
                    for name in ("train_error", "heldout_error", "reconstruction_error")
                    if name in run.dataset
                },
            }
            for run, outcome in zip(self.runs(), self.outcomes, strict=True)
        ]
        facts = {
            "ended": str(self.result),
            "saves": str(self.dataset.sizes["save"]),
            "holds": ", ".join(map(str, self.dataset.data_vars)),
        }
        return html_of("Trajectory", facts, table, self.result.warning)

    def to_dataset(self) -> xr.Dataset:
        """A copy of `dataset` whose attributes say how the runs ended."""
        reasons = [outcome.reason for outcome in self.outcomes]
        ended = {"ending": str(self.result), "warning": self.result.warning}
        return self.dataset.assign_attrs(**ended, reasons=json.dumps(reasons))

    def __getattr__(self, name: str) -> npt.NDArray[Any]:
        if name.startswith("_") or "dataset" not in self.__dict__:
            raise AttributeError(name)
        if name in self.dataset:
            values: npt.NDArray[Any] = self.dataset[name].to_numpy()
            return values
        raise AttributeError(
            f"This trajectory has no {name!r}; it holds "
            f"{', '.join(sorted(map(str, self.dataset.variables)))}."
        )

    @property
    def model(self) -> Any:
        """The final factorization of the only run."""
        if len(self.models) != 1:
            raise InputError(
                f"This trajectory has {len(self.models)} runs in memory; take one with "
                "`run(index)`, or its factors from the .npz beside the file."
            )
        return self.models[0]

    @property
    def result(self) -> Ending:
        """How the only run ended; see `Outcome`. Several runs: the worst of theirs."""
        return Ending.worst(outcome.result for outcome in self.outcomes)

    def run(self, index: int) -> Trajectory:
        """One of several runs, without padding."""
        if self._single:
            raise InputError("This trajectory is of one run already.")
        dataset = self.dataset.isel(run=index)
        dataset = dataset.isel(save=np.flatnonzero(dataset["valid"].to_numpy()))
        if "component_index" in dataset:
            real = dataset["component_index"].to_numpy() >= 0
            dataset = dataset.isel(component=np.flatnonzero(real))
        models = (self.models[index],) if self.models else ()
        return Trajectory(dataset, models, (self.outcomes[index],))

    def runs(self) -> list[Trajectory]:
        """The runs, one by one."""
        if self._single:
            return [self]
        return [self.run(index) for index in range(len(self.outcomes))]

    def drawing(self, clock: Clock | None = None) -> Drawing:
        """Component norms for each init scale, and errors.

        Panels are `norms` (of several init scales `norms 0.05`, ...) and `errors`.

        Parameters
        ----------
        clock
            The horizontal axis; by default steps, and of the limit of small starts its
            scaled time.
        """
        return draw_groups({"": self.runs()}, clock)

    def save(self, path: Path | str) -> Path:
        """Write one netCDF file, atomically. The factorizations are not in it."""
        path = Path(path)
        dataset = self.dataset.copy()
        dataset.attrs["outcomes"] = json.dumps(
            [outcome.__dict__ for outcome in self.outcomes]
        )
        dataset.attrs["seconds_compile"] = self.seconds_compile
        dataset.attrs["seconds_run"] = self.seconds_run
        # Made in memory: where a disk is full, HDF5 crashes as it closes the file.
        content = netcdf_bytes(dataset)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        return path

    @classmethod
    def load(cls, path: Path | str) -> Trajectory:
        """Read what `save` wrote."""
        import xarray as xr

        path = Path(path)
        if not path.is_file():
            raise InputError(f"There is no trajectory file {path}.")
        try:
            check_hdf5(path, "a trajectory")
            with xr.open_dataset(path, engine="h5netcdf") as file:
                dataset = file.load()
            outcomes = tuple(
                Outcome(**{**outcome, "result": Ending(outcome["result"])})
                for outcome in json.loads(dataset.attrs.pop("outcomes"))
            )
            compile_time = float(dataset.attrs.pop("seconds_compile"))
            run_time = float(dataset.attrs.pop("seconds_run"))
            dataset["valid"] = dataset["valid"].astype(bool)
        # A damaged file can fail anywhere inside a reader, with any exception.
        except Exception as error:
            raise InputError(
                f"{path} is not a trajectory of rankrise ({reason(error)}); give a "
                "trajectory.nc that a run wrote."
            ) from error
        single = "run" not in dataset.dims
        return cls(dataset, (), outcomes, compile_time, run_time, single)


def draw_groups(
    groups: Mapping[str, Sequence[Trajectory]], clock: Clock | None = None
) -> Drawing:
    """The panels of groups of runs, one group below another."""
    from rankrise.trajectories._plot import draw_runs

    return draw_runs(groups, clock)


def build_dataset(
    histories: Sequence[History],
    observables: Sequence[Observable],
    recording: Recording,
    *,
    single: bool,
) -> xr.Dataset:
    """Arrange what was measured, run by run, as one dataset.

    Each history maps "step", "time" and the observables' names to arrays whose first
    axis is the save.
    """
    import xarray as xr

    kept, labels = recording.kept_components, recording.run_labels
    pieces = [xr.Dataset(_variables(each, observables, kept)) for each in histories]
    if single:
        (dataset,) = pieces
        coordinates = {name: values[0] for name, values in labels.items()}
    else:
        dataset = xr.concat(_padded(pieces), dim="run", join="exact")
        coordinates = {name: ("run", list(values)) for name, values in labels.items()}
    dataset = dataset.assign_coords(coordinates)
    dataset.attrs.update(
        title="Trajectory of a tensor factorization under gradient descent",
        settings=json.dumps(dict(recording.settings)),
        **{name: json.dumps(value) for name, value in environment().items()},
    )
    return dataset


def _padded(pieces: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    sizes = {dim: max(piece.sizes[dim] for piece in pieces) for dim in pieces[0].sizes}
    padding: dict[str, float] = {"step": -1, "component_index": -1, "valid": False}
    return [
        piece.pad(
            {dim: (0, size - piece.sizes[dim]) for dim, size in sizes.items()},
            constant_values={name: padding.get(str(name), np.nan) for name in piece},
        )
        if dict(piece.sizes) != sizes
        else piece
        for piece in pieces
    ]


def _variables(
    history: History,
    observables: Sequence[Observable],
    kept_components: int | np.integer | Literal["all"],
) -> dict[str, Any]:
    step_attributes = {"long_name": "steps of gradient descent", "units": "1"}
    time_attributes = {"long_name": "sum of learning rates", "units": "1"}
    variables: dict[str, Any] = {
        "step": ("save", history["step"], step_attributes),
        "time": ("save", history["time"], time_attributes),
        "valid": ("save", np.ones(len(history["step"]), dtype=bool)),
    }
    kept: Any = slice(None)
    if "component_norms" in {each.name for each in observables if each.per_component}:
        norms = history["component_norms"]
        count = norms.shape[1] if kept_components == "all" else kept_components
        kept = largest_components(norms, count)
        variables["component_index"] = (
            "component",
            kept,
            {"long_name": "column of the factor matrices, counted from 0"},
        )
    for each in observables:
        values, dims = history[each.name], ("save", *dict(each.dims))
        if each.per_component:
            values, dims = values[:, kept], ("save", "component", *dims[1:])
        attributes = {"long_name": each.long_name or each.name, "units": each.units}
        variables[each.name] = (dims, values, attributes)
    return variables


def largest_components(
    norms: npt.NDArray[np.floating], count: int | np.integer
) -> npt.NDArray[np.int64]:
    """Columns of the largest components, by last norm and by highest, largest first.

    A component that rose and fell back is among the highest though its last norm is
    small; up to twice `count` columns are returned for that reason.
    """
    last, highest = norms[-1], np.nanmax(norms, axis=0)
    chosen = np.union1d(np.argsort(-last)[:count], np.argsort(-highest)[:count])
    return chosen[np.argsort(-last[chosen], kind="stable")]
