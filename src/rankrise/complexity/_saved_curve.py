"""A curve of errors by rank as a Dataset, and in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise.complexity._controls import CONTROLS
from rankrise.runs import Ending
from rankrise.tensors.files import StoredArrays, save_result

if TYPE_CHECKING:
    from rankrise.complexity._curve import RankCurve

KIND = "a rank curve"
_ERRORS = ("train_error", "test_error")


def curve_dataset(curve: RankCurve) -> Any:
    """Errors by control, rank, target, seed and fold."""
    import xarray as xr

    seeds = sorted({fit.seed for fit in curve.fits})
    folds = sorted({fit.fold for fit in curve.fits})
    coordinates: dict[str, list[Any]] = {
        "control": list(curve.controls),
        "rank": list(curve.ranks),
        "target": list(curve.targets),
        "seed": seeds,
        "fold": folds,
    }
    shape = [len(each) for each in coordinates.values()]
    errors = {name: np.full(shape, np.nan) for name in _ERRORS}
    epochs, endings = np.zeros(shape, np.int64), np.full(shape, "", "U16")
    for fit in curve.fits:
        place = (
            curve.controls.index(fit.control),
            curve.ranks.index(fit.rank),
            curve.targets.index(fit.target),
            seeds.index(fit.seed),
            folds.index(fit.fold),
        )
        for name, values in errors.items():
            values[place] = getattr(fit, name)
        epochs[place], endings[place] = fit.epochs, str(fit.ending)
    dims, words = tuple(coordinates), {"long_name": "mean squared error"}
    variables: dict[str, Any] = {
        name: (dims, values, words) for name, values in errors.items()
    }
    variables |= {"epochs": (dims, epochs), "ending": (dims, endings)}
    for split, own in curve.constant_errors.items():
        variables[f"constant_{split}_error"] = ("target", own)
    attributes = {
        "kind": curve.kind,
        "ending": str(curve.ending),
        "warning": curve.ending.warning,
        "seconds_compile": curve.seconds_compile,
        "seconds_run": curve.seconds_run,
    }
    return xr.Dataset(variables, coordinates, attributes)


def save_curve(curve: RankCurve, path: Path | str) -> Path:
    """Write what `curve_fields` reads."""
    arrays: dict[str, Any] = {
        name: np.array([getattr(fit, name) for fit in curve.fits]) for name in _ERRORS
    }
    for split, own in curve.constant_errors.items():
        arrays[f"constant_{split}"] = own
    for control, losses in curve.train_losses.items():
        arrays[f"losses_{control}"] = losses
    facts = {
        "fits": [
            [
                fit.control,
                fit.rank,
                str(fit.target),
                fit.seed,
                fit.epochs,
                fit.ending,
                fit.fold,
            ]
            for fit in curve.fits
        ],
        "kind": curve.kind,
        "seconds": [curve.seconds_compile, curve.seconds_run],
        "cut_off": curve.cut_off,
    }
    return save_result(path, KIND, facts, arrays)


def curve_fields(facts: Any, arrays: StoredArrays) -> tuple[list[Any], dict[str, Any]]:
    """Fields of the fits, and all other fields of the curve."""
    count = len(facts["fits"])
    train, test = (arrays.get(name, [count]).tolist() for name in _ERRORS)
    fits = []
    for place, (control, rank, target, seed, epochs, ending, fold) in enumerate(
        facts["fits"]
    ):
        if control not in CONTROLS:
            raise ValueError(f"{control!r} is no control")
        own = (control, int(rank), str(target), int(seed))
        errors = (train[place], test[place])
        fits.append((*own, *errors, int(epochs), Ending(ending), int(fold)))
    targets = len({fit[2] for fit in fits})
    if facts["kind"] not in ("classes", "values") or not fits:
        raise ValueError("it has no fits")
    cut_off = facts["cut_off"]
    return fits, {
        "kind": facts["kind"],
        "constant_errors": {
            split: arrays.get(f"constant_{split}", [targets])
            for split in ("train", "test")
        },
        "train_losses": {
            control: arrays.get(
                f"losses_{control}", [None, sum(fit[0] == control for fit in fits)]
            )
            for control in CONTROLS
            if f"losses_{control}" in arrays
        },
        "seconds_compile": float(facts["seconds"][0]),
        "seconds_run": float(facts["seconds"][1]),
        "cut_off": None if cut_off is None else Ending(cut_off),
    }
