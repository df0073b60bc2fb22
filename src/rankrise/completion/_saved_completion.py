"""A completion in a file, and back again: bit for bit, on the same machine."""

from __future__ import annotations

import functools as ft
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.completion._arrangement import Rows
from rankrise.completion._compiled import load_kernels
from rankrise.completion._gaps import Blocks, GapKind
from rankrise.completion._holdout import Folds
from rankrise.completion._model import Baseline, Model
from rankrise.completion._path import Path
from rankrise.completion._rank_table import RankEstimate, RankRow
from rankrise.completion._settings import CompletionSettings
from rankrise.losses import AbstractLoss
from rankrise.runs import Ending
from rankrise.tensors import IncompleteTensor, ModeAxis, Observations
from rankrise.tensors.files import (
    StoredArrays,
    loaded_labels,
    loaded_result,
    save_result,
    stored_labels,
)

if TYPE_CHECKING:
    from rankrise.completion._result import Completion

KIND = "a completion"
_BLOCKS = ("kind_at", "boxes", "box_kinds", "box_gains")


def save_completion(found: Completion, path: FilePath | str) -> FilePath:
    """Write what `load_completion` reads."""
    if isinstance(found.settings.loss, AbstractLoss):
        raise InputError(
            "A completion with a loss of your own cannot be saved; save its "
            "`to_dataset()`, which has the results."
        )
    given, arrays = found.input.observations, dict[str, Any]()
    for name in ("indices", "values", "weights", "exists"):
        if getattr(given, name) is not None:
            arrays[name] = getattr(given, name)
    arrays["part"] = found.folds.part
    facts = {
        "mode_dims": list(given.mode_dims),
        "input": _input_facts(found.input, arrays),
        "settings": found.settings.model_dump(mode="json"),
        "ending": found.ending,
        "loss": found.loss_name,
        "link_losses": dict(found.link_losses),
        "seconds": found.seconds,
        "chosen": found.chosen,
        "folds": _folds_facts(found.folds, arrays),
        "models": [_model_facts(n, m, arrays) for n, m in enumerate(found.models)],
    }
    rank = found.rank_in_time
    if rank is not None:
        facts["rank"] = {
            **{k: getattr(rank, k) for k in ("rank", "needed", "offset", "observed")},
            "rows": [list(row) for row in rank.rows],
            "is_limited": bool(rank.is_limited),
            "is_open": bool(rank.is_open),
        }
        for mode, matrix in enumerate(rank.factors):
            arrays[f"rank_{mode}"] = matrix
    if found.trajectory is not None:
        with tempfile.TemporaryDirectory() as folder:
            written = found.trajectory.save(FilePath(folder) / "trajectory.nc")
            arrays["trajectory"] = np.frombuffer(written.read_bytes(), np.uint8)
    return save_result(path, KIND, facts, arrays)


def load_completion(
    path: FilePath | str, of_models: Callable[..., Completion]
) -> Completion:
    """Read what `save_completion` wrote; all shapes are checked."""
    with loaded_result(path, KIND) as (_, facts, arrays):
        return _completion(facts, arrays, of_models)


def _completion(
    facts: Mapping[str, Any],
    arrays: StoredArrays,
    of_models: Callable[..., Completion],
) -> Completion:
    load_kernels()
    dims = tuple(int(dim) for dim in facts["mode_dims"])
    count, order = len(arrays.get("values", [None])), len(dims)
    given = Observations.from_coordinates(
        arrays.get("indices", [count, order], "iu"),
        arrays.get("values", [count]),
        dims,
        weights=arrays.get("weights", [count]) if "weights" in arrays else None,
    )
    if "exists" in arrays:
        given = replace(given, exists=arrays.get("exists", dims, "b"))
    observations = given
    settings = CompletionSettings(**facts["settings"])
    if given.weights is not None and settings.gradient is None:
        observations = given.take(np.flatnonzero(given.weights > 0))
    observations = observations.in_order()
    rows = Rows.of(observations.indices, dims)
    folds = _folds(facts["folds"], arrays, len(observations), rows)
    models = [
        _model(number, each, arrays, rows)
        for number, each in enumerate(facts["models"])
    ]
    extra: dict[str, Any] = {}
    if "trajectory" in arrays:
        from rankrise.trajectories import Trajectory

        with tempfile.TemporaryDirectory() as folder:
            place = FilePath(folder) / "trajectory.nc"
            place.write_bytes(arrays.get("trajectory", [None], "u").tobytes())
            extra["trajectory"] = Trajectory.load(place)
        extra["chosen"] = range(len(extra["trajectory"].outcomes))[facts["chosen"]]
    found = of_models(
        _input(facts["input"], arrays, given),
        observations,
        settings,
        folds,
        models,
        Ending(facts["ending"]),
        loss=settings.loss_functions[facts["loss"]],
        link_losses={str(k): float(v) for k, v in facts["link_losses"].items()},
        seconds=float(facts["seconds"]),
        **extra,
    )
    if "rank" in facts:
        told = dict(facts["rank"])
        table = tuple(
            RankRow(int(row[0]), *map(float, row[1:])) for row in told["rows"]
        )
        factors = tuple(
            arrays.get(f"rank_{mode}", [dim, int(told["rank"])])
            for mode, dim in enumerate(rows.dims)
        )
        # What was told is not told anew.
        found.__dict__["rank_estimate"] = RankEstimate(
            int(told["rank"]),
            int(told["needed"]),
            float(told["offset"]),
            factors,
            table,
            int(told["observed"]),
            bool(told["is_limited"]),
            bool(told["is_open"]),
        )
    return found


# The input.


def _input_facts(given: IncompleteTensor, arrays: dict[str, Any]) -> dict[str, Any]:
    coordinates = {}
    for mode, labels in enumerate(given.labels):
        if labels is not None:
            arrays[f"labels_{mode}"], kind = stored_labels(labels)
            coordinates[str(mode)] = kind
    others = []
    if given.coordinates is not None:
        for number, (name, each) in enumerate(given.coordinates.items()):
            arrays[f"coordinate_{number}"], kind = stored_labels(each.values)
            others.append(
                [str(name), list(map(str, each.dims)), kind, _told(each.attrs)]
            )
    return {
        "names": given.mode_names,
        "labels": coordinates,
        "coordinates": None if given.coordinates is None else others,
        "name": given.name,
        "units": given.units,
        "mode_units": list(given.mode_units),
    }


def _told(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes that JSON can say."""
    told = {}
    for name, value in attributes.items():
        value = value.item() if isinstance(value, np.generic) else value
        try:
            told[str(name)] = json.loads(json.dumps(value))
        except TypeError:
            continue
    return told


def _input(
    facts: Mapping[str, Any], arrays: StoredArrays, given: Observations
) -> IncompleteTensor:
    dims, names = given.mode_dims, facts["names"]
    if names is not None and len(names) != len(dims):
        raise InputError("Its names do not fit its modes; the file is damaged.")
    labels: list[npt.NDArray[Any] | None] = [None] * len(dims)
    for key, kind in facts["labels"].items():
        stored = arrays.get(f"labels_{int(key)}", [dims[int(key)]], "biufUS")
        labels[int(key)] = loaded_labels(stored, kind)
    coordinates = None
    if facts["coordinates"] is not None:
        import xarray as xr

        sizes = dict(zip(names, dims, strict=True))
        coordinates = xr.Coordinates(
            {
                name: (
                    own,
                    loaded_labels(
                        arrays.get(
                            f"coordinate_{number}", [sizes[x] for x in own], "biufUS"
                        ),
                        kind,
                    ),
                    attributes,
                )
                for number, (name, own, kind, attributes) in enumerate(
                    facts["coordinates"]
                )
            }
        )
    named = names or [None] * len(dims)
    named = [None if name is None else str(name) for name in named]
    units = list(map(str, facts["mode_units"])) or [""] * len(dims)
    parts = zip(named, labels, units, strict=True)
    incomplete = IncompleteTensor(
        given,
        tuple(ModeAxis(*part) for part in parts),
        np.asarray,
        str(facts["name"]),
        str(facts["units"]),
        coordinates,
    )
    if names is None:
        return incomplete
    return replace(incomplete, form=ft.partial(_labelled, incomplete))


def _labelled(incomplete: IncompleteTensor, completed: Values) -> Any:
    return incomplete.data_array(completed)


# Parts and models.


def _folds_facts(folds: Folds, arrays: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "count": int(folds.count),
        "modes": list(map(int, folds.modes)),
        "gaps": [_kind_facts(each) for each in folds.gaps],
    }
    if folds.kinds is not None:
        arrays["kinds"] = folds.kinds
    if folds.blocks is not None:
        facts["block_modes"] = list(map(int, folds.blocks.modes))
        facts["block_kinds"] = [_kind_facts(each) for each in folds.blocks.kinds]
        for name in (*_BLOCKS, "widened"):
            if getattr(folds.blocks, name) is not None:
                arrays[f"block_{name}"] = getattr(folds.blocks, name)
    return facts


def _kind_facts(kind: GapKind) -> list[Any]:
    return [list(kind.extents), float(kind.share), kind.side]


def _kinds(facts: Any) -> tuple[GapKind, ...]:
    return tuple(GapKind(tuple(each[0]), float(each[1]), each[2]) for each in facts)


def _folds(
    facts: Mapping[str, Any], arrays: StoredArrays, count: int, rows: Rows
) -> Folds:
    blocks = None
    if "block_modes" in facts:
        modes = tuple(map(int, facts["block_modes"]))
        form = [rows.dims[mode] for mode in modes]
        boxes = arrays.get("block_boxes", [None, len(modes), 2], "iu")
        blocks = Blocks(
            modes,
            _kinds(facts["block_kinds"]),
            arrays.get("block_kind_at", form, "i"),
            boxes,
            arrays.get("block_box_kinds", [len(boxes)], "iu"),
            arrays.get("block_box_gains", [len(boxes)], "iu"),
            arrays.get("block_widened", form) if "block_widened" in arrays else None,
        )
    return Folds(
        arrays.get("part", [count], "iu"),
        int(facts["count"]),
        tuple(map(int, facts["modes"])),
        _kinds(facts["gaps"]),
        arrays.get("kinds", [count], "iu") if "kinds" in arrays else None,
        blocks,
    )


def _model_facts(number: int, model: Model, arrays: dict[str, Any]) -> dict[str, Any]:
    for mode, matrix in enumerate(model.factors):
        arrays[f"model_{number}_{mode}"] = matrix
    for mode, effect in enumerate(model.baseline.effects):
        arrays[f"effects_{number}_{mode}"] = effect
    return {
        "number": int(model.number),
        "smooth": bool(model.smooth),
        "offset": float(model.baseline.offset),
        "scale": float(model.baseline.scale),
        "has_effects": bool(model.baseline.effects),
        "components": model.factors[0].shape[1],
        **model.path.facts(),
    }


def _model(
    number: int, facts: Mapping[str, Any], arrays: StoredArrays, rows: Rows
) -> Model:
    path = Path.of_facts(facts, np.empty((0, int(facts["components"]))))
    path.best_point  # noqa: B018  # Refused by its place where there is none.
    dims = list(enumerate(rows.dims))
    effects = (
        tuple(arrays.get(f"effects_{number}_{mode}", [dim + 1]) for mode, dim in dims)
        if facts["has_effects"]
        else ()
    )
    width = int(facts["components"])
    return Model(
        rows,
        int(facts["number"]),
        bool(facts["smooth"]),
        Baseline(float(facts["offset"]), float(facts["scale"]), effects),
        path,
        tuple(
            arrays.get(f"model_{number}_{mode}", [dim + 1, width]) for mode, dim in dims
        ),
    )
