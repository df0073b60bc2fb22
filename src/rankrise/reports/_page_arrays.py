"""Arrays for a page: slices of the completed tensor, and factors with their labels."""

import base64
import contextlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError, reason
from rankrise.reports._stored_run import StoredRun
from rankrise.tensors import ModeAxis, TensorFile, read_tensor
from rankrise.tensors.files import content_sha256, open_arrays

Values = npt.NDArray[Any]
# Entries of each array on a page; 32 bits each, five arrays are 3 megabytes of text.
_CELLS = 120_000
# Larger tensors are not read, for that takes minutes.
_LARGEST_READ = 10_000_000
_ROWS, _COMPONENTS, _MODELS = 2000, 12, 3
_CHANNELS, _PIXELS = 3, 60_000
# What of the reading of an input holds for its completed counterpart as well.
_SAME_READING = ("variable", "modes", "mode_dims", "layout", "order")
_NAMES = {
    "completed": "completed",
    "completed-std": "standard deviation",
    "completed-lower": "lower bound",
    "completed-upper": "upper bound",
}
_LATITUDES = re.compile(r"(nav_?)?lat(itudes?|s)?", re.IGNORECASE)
_LONGITUDES = re.compile(r"(nav_?)?(lon(gitudes?|s)?|lng|long)", re.IGNORECASE)


class _Units(NamedTuple):
    units: str = ""
    calendar: str = "standard"

    @classmethod
    def of(cls, array: Any) -> "_Units":
        own = ((name, str(array.attrs.get(name) or "")) for name in cls._fields)
        return cls(**{name: words for name, words in own if words})

    def dates(self, labels: Values) -> Values:
        """Dates, if these units count from one, by the file's own calendar."""
        if " since " in self.units and labels.dtype.kind in "iuf":
            from xarray.coding.times import decode_cf_datetime

            with contextlib.suppress(ValueError, OverflowError):
                return np.asarray(decode_cf_datetime(labels, self.units, self.calendar))
        return labels


def tensor_panels(run: StoredRun) -> tuple[list[dict[str, Any]], list[str]]:
    """Slices, a picture for images, and factors; and what is left out, in words."""
    notes: list[str] = []
    tensors, units = _tensors(run, notes)
    panels: list[dict[str, Any]] = []
    axes: list[dict[str, Any]] = []
    if tensors:
        first = tensors["completed"]
        whole = {name: each.observations.dense() for name, each in tensors.items()}
        if "observed" in whole:
            whole["residual"] = whole["observed"] - whole["completed"]
        axes = _axes(run, first, units)
        if len(axes) == 3 and len(axes[2]["labels"]) == _CHANNELS:
            panels.append(_picture(whole))
        panels.append(_slices(whole, axes, units.get("", _Units()).units, notes))
    factors = _factors(run, axes, notes)
    return panels + ([factors] if factors else []), notes


def _tensors(
    run: StoredRun, notes: list[str]
) -> tuple[dict[str, TensorFile], dict[str, _Units]]:
    """What is observed and what was completed, where it can be read."""
    entries = math.prod(map(int, run.summary.get("mode_dims", ())))
    files = {path.name.partition(".")[0]: path for path in sorted(run.path.iterdir())}
    if "completed" not in files or not files["completed"].is_file():
        return {}, {}
    if entries > _LARGEST_READ:
        notes.append(
            f"The tensor has {entries:,} entries. Slices of tensors with more than "
            f"{_LARGEST_READ:,} are not shown."
        )
        return {}, {}
    reading = dict(run.source.get("reading") or {})
    own = {name: reading[name] for name in _SAME_READING if reading.get(name)}
    found = {}
    for stem, name in _NAMES.items():
        if stem in files:
            # One name stands for the variable in each of them.
            found[name] = read_tensor(files[stem], **own)
    observed = _observed(run, reading, notes)
    dims = found["completed"].observations.mode_dims
    if observed is not None and observed.observations.mode_dims == dims:
        found = {"observed": observed, **found}
    same = {
        name: each
        for name, each in found.items()
        if each.observations.mode_dims == dims
    }
    return same, _units(files["completed"], found["completed"])


def _observed(
    run: StoredRun, reading: dict[str, Any], notes: list[str]
) -> TensorFile | None:
    """The input, if it is still the one that was completed."""
    path = Path(str(run.source.get("path")))
    try:
        # A folder from elsewhere may name any file here. Whoever wrote down the hash
        # of a file has seen the file, so that nothing is given away.
        if not path.exists() or content_sha256(path) != run.source.get("sha256"):
            notes.append(
                "The file that was completed is not at its place, or has changed, so "
                "observed entries and residuals are not shown."
            )
            return None
        reading = {**reading, "domain": None}
        return read_tensor(path, **reading)
    except (InputError, OSError, TypeError) as error:
        notes.append(f"Observed entries are not shown: {reason(error)}")
        return None


def named_axes(tensor: TensorFile) -> tuple[ModeAxis, ...]:
    """Names and labels of the modes, as the file has them."""
    return tensor.layout.axes(tensor.observations.order)


def _units(path: Path, tensor: TensorFile) -> dict[str, _Units]:
    """Units of the values (under no name) and of coordinates, of a netCDF file."""
    if path.suffix != ".nc":
        return {}
    import xarray as xr

    found = {}
    try:
        with xr.open_dataset(path, decode_times=False) as file:
            axes = named_axes(tensor)
            for axis in axes:
                if axis.name is not None and axis.name in file:
                    found[axis.name] = _Units.of(file[axis.name])
            values = [x for x in file.data_vars.values() if x.ndim == len(axes)]
            found[""] = _Units.of(values[0]) if values else _Units()
    # The file could be read before; without its units nothing is lost.
    except Exception:
        return {}
    return found


def _axes(
    run: StoredRun, tensor: TensorFile, units: dict[str, _Units]
) -> list[dict[str, Any]]:
    axes = []
    for mode, (axis, dim) in enumerate(
        zip(named_axes(tensor), tensor.observations.mode_dims, strict=True)
    ):
        own = units.get(axis.name, _Units()) if axis.name else _Units()
        unit = own.units
        labels, kind = _labels(axis.labels, dim, own)
        is_date = " since " in unit and kind != "number"
        title = axis.title(mode)
        axes.append(
            {
                "title": f"{title} ({unit})" if unit and not is_date else title,
                "labels": labels,
                "kind": kind,
                "place": _place(axis.name or "", labels, kind),
            }
        )
    return axes


def _labels(labels: Values | None, dim: int, units: _Units) -> tuple[list[Any], str]:
    """Labels as JSON holds them, and whether they are numbers, dates or words."""
    if labels is None:
        return list(range(dim)), "number"
    labels = units.dates(np.asarray(labels))
    if labels.dtype.kind == "M":
        return [str(x) for x in labels.astype("datetime64[s]")], "date"
    is_number = labels.dtype.kind in "iuf" and bool(np.isfinite(labels).all())
    if is_number:
        return [x.item() for x in labels], "number"
    return [str(x) for x in labels], "word"


def _place(name: str, labels: Sequence[Any], kind: str) -> str | None:
    """Whether a mode is of latitudes or longitudes."""
    if kind != "number" or len(labels) < 2:
        return None
    largest = max(map(abs, labels))
    if _LATITUDES.fullmatch(name) and largest <= 90:
        return "latitude"
    return "longitude" if _LONGITUDES.fullmatch(name) and largest <= 360 else None


def _chosen(dims: Sequence[int], cells: int) -> list[npt.NDArray[np.int64]]:
    """Evenly spaced indices of every mode, of as many entries in all."""
    kept = list(dims)
    while math.prod(kept) > cells and max(kept) > 1:
        largest = kept.index(max(kept))
        kept[largest] = max(1, int(kept[largest] * 0.9))
    return [
        np.unique(np.linspace(0, dim - 1, count).round().astype(int))
        for dim, count in zip(dims, kept, strict=True)
    ]


def _slices(
    whole: dict[str, Values], axes: list[dict[str, Any]], unit: str, notes: list[str]
) -> dict[str, Any]:
    dims = whole["completed"].shape
    chosen = _chosen(dims, _CELLS)
    kept = tuple(map(len, chosen))
    if kept != dims:
        notes.append(
            f"Of the {' x '.join(map(str, dims))} entries, slices show "
            f"{' x '.join(map(str, kept))} that are evenly spaced."
        )
    shown = [
        {**axis, "labels": [axis["labels"][index] for index in indices.tolist()]}
        for axis, indices in zip(axes, chosen, strict=True)
    ]
    arrays = {name: packed(values[np.ix_(*chosen)]) for name, values in whole.items()}
    return {
        "kind": "slices",
        "title": "Slices of the tensor",
        "caption": "Choose what is shown and the mode that the slider moves along. "
        "A click on a cell (or an arrow key) shows all entries through it along that "
        "mode, with their intervals.",
        "dims": kept,
        "axes": shown,
        "unit": unit,
        "arrays": arrays,
    }


def packed(values: Values) -> str:
    """An array of 32-bit numbers as text, row-major, little-endian."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")


def _picture(whole: dict[str, Values]) -> dict[str, Any]:
    known = whole.get("observed", whole["completed"])
    low, high = float(np.nanmin(known)), float(np.nanmax(known))
    height, width, _ = known.shape
    rows, columns, _ = _chosen((height, width, 1), _PIXELS)
    pictures = {}
    for name in ("observed", "completed"):
        if name in whole:
            pixels = (whole[name][np.ix_(rows, columns)] - low) / ((high - low) or 1)
            gaps = np.isnan(pixels).any(axis=2)
            bytes_ = (255 * np.clip(np.nan_to_num(pixels), 0, 1)).round()
            opaque = np.where(gaps, 0, 255)[..., None]
            content = np.concatenate([bytes_, opaque], axis=2).astype(np.uint8)
            pictures[name] = base64.b64encode(content.tobytes()).decode("ascii")
    return {
        "kind": "picture",
        "title": "As a picture",
        "caption": "The last mode as red, green and blue. Unobserved pixels are empty.",
        "dims": [len(rows), len(columns)],
        "pictures": pictures,
    }


def _factors(
    run: StoredRun, axes: list[dict[str, Any]], notes: list[str]
) -> dict[str, Any] | None:
    path = run.file("factors.npz")
    if path is None:
        return None
    with open_arrays(path) as members:
        matrices: dict[str, dict[int, str]] = {}
        for name in members.headers:
            match = re.fullmatch(r"(?:run_(\d+)_)?mode_(\d+)", name)
            if match and len(members.headers[name].shape) == 2:
                label = match.group(1) or "0"
                matrices.setdefault(label, {})[int(match.group(2))] = name
        order = sorted(matrices, key=int)
        if len(order) > _MODELS:
            notes.append(f"Of {len(order)} models, factors of {_MODELS} are shown.")
        models = {}
        for label in order[:_MODELS]:
            arrays = members.read(matrices[label].values())
            models[label] = [
                arrays[matrices[label][n]] for n in sorted(matrices[label])
            ]
    models = {label: each for label, each in models.items() if each[0].shape[1]}
    if not models:
        return None
    shown = [_one_model(each, notes) for each in models.values()]
    rows = [len(matrix) for matrix in next(iter(models.values()))]
    if [len(axis["labels"]) for axis in axes] != rows:
        axes = [
            {
                "title": f"mode {mode}",
                "labels": list(range(dim)),
                "kind": "number",
                "place": None,
            }
            for mode, dim in enumerate(rows, start=1)
        ]
    names = _model_names(run, list(models))
    return {
        "kind": "factors",
        "title": "Factors of each mode",
        "caption": "Each column has norm one; the size of a component is its norm. "
        "Choose components, the model, and lines, bars or a map.",
        "axes": [
            {**axis, "labels": [axis["labels"][i] for i in _some(dim).tolist()]}
            for axis, dim in zip(axes, rows, strict=True)
        ],
        # Of runs the last is nearest to the limit; of models the first stands for all.
        "start": len(shown) - 1 if "runs" in run.summary else 0,
        "models": [
            {"name": name, **each} for name, each in zip(names, shown, strict=True)
        ],
    }


def _some(dim: int) -> npt.NDArray[np.int64]:
    return _chosen((dim,), _ROWS)[0]


def _one_model(matrices: list[Values], notes: list[str]) -> dict[str, Any]:
    """Columns of norm one of the largest components, with the signs of all pictures."""
    from rankrise.completion import signed

    width = min(each.shape[1] for each in matrices)
    columns = [each[:, :width].astype(np.float64) for each in matrices]
    sizes = [np.linalg.norm(each, axis=0) for each in columns]
    norms = np.prod(sizes, axis=0)
    largest = np.argsort(-norms, kind="stable")
    largest = largest[norms[largest] > 1e-6 * norms[largest[0]]]
    if len(largest) > _COMPONENTS:
        words = f"Of more components, factors of the {_COMPONENTS} largest are shown."
        if words not in notes:
            notes.append(words)
    largest = largest[:_COMPONENTS]
    units = [
        each[:, largest] / np.where(size[largest] > 0, size[largest], 1)
        for each, size in zip(columns, sizes, strict=True)
    ]
    return {
        "norms": norms[largest].tolist(),
        "columns": [packed(each[_some(len(each))].T) for each in signed(units)],
    }


def _model_names(run: StoredRun, labels: list[str]) -> list[str]:
    runs = run.summary.get("runs")
    if not isinstance(runs, list):
        return ["reference", *(f"model {int(x) + 1}" for x in labels[1:])]
    return [
        f"init scale {runs[int(x)]['init_scale']:g}, seed {runs[int(x)]['seed']}"
        for x in labels
    ]
