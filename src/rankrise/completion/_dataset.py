"""A completion as one xarray Dataset."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise._environment import environment
from rankrise.completion._rank_table import RankRow

if TYPE_CHECKING:
    from rankrise.completion._result import Completion

_WORDS = {
    "heldout_error": "held-out error of fits with so many components",
    "standard_error": "standard error of the held-out error",
    "match": "smallest factor match score between halves of the data",
    "core_consistency": "core consistency",
    "explained": "share of the loss about the mean that the fit takes",
}


def completion_dataset(found: Completion, level: float) -> Any:
    """All of a completion with the data's names, units and coordinates."""
    import xarray as xr

    given = found.input
    completed, std = found.completed_arrays()
    lower, upper = found.interval_arrays(level)
    observed = np.zeros(completed.shape, bool)
    observed[tuple(given.observations.indices.T)] = True
    share = f"{level:.3g} of the completed entries should lie between the bounds"
    entries = {
        "completed": (completed, {"long_name": given.name or "completed entries"}),
        "std": (std, {"long_name": "standard deviation of completed entries"}),
        "lower": (lower, {"long_name": "lower bound", "comment": share}),
        "upper": (upper, {"long_name": "upper bound", "comment": share}),
    }
    first = given.data_array(completed)
    dims = tuple(map(str, first.dims))
    units = {"units": given.units} if given.units else {}
    variables: dict[str, Any] = {
        name: (dims, values, {**words, **units})
        for name, (values, words) in entries.items()
    }
    variables["observed"] = (dims, observed, {"long_name": "whether it was observed"})
    component, shown = _free("component", dims), _free("rank_component", dims)
    count = _free("components", dims)
    for mode, dim in enumerate(dims):
        variables[f"factors_{dim}"] = ((dim, component), found.factors[mode])
        if found.effects:
            variables[f"effects_{dim}"] = (dim, found.effects[mode], units)
    variables["component_norms"] = (component, found.component_norms, units)
    variables["reproducibility"] = (component, found.reproducibility)
    coordinates: dict[str, Any] = {
        component: np.arange(1, len(found.component_norms) + 1)
    }
    rank = found.rank_in_time
    attributes: dict[str, Any] = {
        "ending": str(found.ending),
        "warning": found.warning,
        "components": found.components,
        "offset": found.offset,
        "loss": found.loss_name,
        "level": level,
        "settings": json.dumps(found.settings.model_dump(mode="json", fallback=repr)),
        **{name: json.dumps(value) for name, value in environment().items()},
    }
    if rank is not None:
        attributes |= {"rank": rank.rank, "needed_components": rank.needed}
        attributes["rank_in_words"] = rank.words
        coordinates[shown] = np.arange(1, rank.rank + 1)
        for mode, dim in enumerate(dims):
            whole = found.rank_factors[mode]
            variables[f"rank_factors_{dim}"] = ((dim, shown), whole)
        for name in RankRow._fields[1:]:
            column = [getattr(row, name) for row in rank.rows]
            words = {"long_name": _WORDS[name]}
            has_units = name in ("heldout_error", "standard_error")
            variables[f"rank_{name}"] = (
                *(count, column),
                {**words, **units} if has_units else words,
            )
        coordinates[count] = [row.components for row in rank.rows]
    attributes |= {k: v for k, v in found.errors().items() if math.isfinite(v)}
    dataset = xr.Dataset(variables, coordinates, attributes)
    return dataset.assign_coords(first.coords)


def _free(name: str, taken: tuple[str, ...]) -> str:
    """A name for a dimension that no mode has."""
    while name in taken:
        name += "_"
    return name
