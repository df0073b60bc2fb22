"""A trained ensemble as a Dataset, and in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankrise._checks import check_whole
from rankrise.ensembles._ensemble import Member
from rankrise.runs import Ending
from rankrise.tensors.files import StoredArrays, save_result

if TYPE_CHECKING:
    from rankrise.ensembles._fit import EnsembleFit

KIND = "an ensemble"


def fit_dataset(fit: EnsembleFit) -> Any:
    """Losses by epoch and model, with what each model is."""
    import xarray as xr

    names = ("components", "task", "seed")
    coordinates: dict[str, Any] = {
        name: ("model", [getattr(member, name) for member in fit.members])
        for name in names
    }
    return xr.Dataset(
        {
            "train_loss": (("epoch", "model"), fit.train_losses),
            "test_loss": (("test_epoch", "model"), fit.test_losses),
            "epochs": ("model", list(fit.epochs)),
            "ending": ("model", [str(ending) for ending in fit.endings]),
        },
        {
            **coordinates,
            "epoch": range(1, len(fit.train_losses) + 1),
            "test_epoch": fit.test_epochs,
        },
        {
            "warning": Ending.worst(fit.endings).warning,
            "seconds_compile": fit.seconds_compile,
            "seconds_run": fit.seconds_run,
        },
    )


def save_fit(fit: EnsembleFit, path: Path | str) -> Path:
    """Write what `fit_fields` reads."""
    arrays = {name: getattr(fit, name) for name in _LOSSES}
    arrays |= {f"table_{place}": table for place, table in enumerate(fit.tables)}
    facts = {
        "members": [
            [member.components, member.task, member.seed, member.stream]
            for member in fit.members
        ],
        "epochs": fit.epochs,
        "endings": fit.endings,
        "seconds": [fit.seconds_compile, fit.seconds_run],
    }
    return save_result(path, KIND, facts, arrays)


_LOSSES = ("train_losses", "test_epochs", "test_losses")


def fit_fields(facts: Any, arrays: StoredArrays) -> dict[str, Any]:
    """The fields of an `EnsembleFit`."""
    members = tuple(Member(*each) for each in facts["members"])
    endings = tuple(map(Ending, facts["endings"]))
    epochs, seconds = tuple(facts["epochs"]), tuple(map(float, facts["seconds"]))
    if not members or not len(members) == len(endings) == len(epochs):
        raise ValueError("its models are not as many as their endings")
    for number in epochs:
        check_whole("A number of epochs", number, 0)
    train_losses = arrays.get("train_losses", [None, len(members)])
    test_epochs = arrays.get("test_epochs", [None], "i")
    measured = test_epochs.tolist()
    if max(epochs) > len(train_losses) or measured != sorted(
        {*measured} & {*range(len(train_losses) + 1)}
    ):
        raise ValueError("its losses are not those of its epochs")
    if len(seconds) != 2 or not min(seconds) >= 0:
        raise ValueError("its seconds are no times")
    values = modes = None
    tables = []
    for place, member in enumerate(members):
        tables.append(arrays.get(f"table_{place}", [values, modes, member.components]))
        values, modes, _ = tables[0].shape
    kinds = {array.dtype.name for array in (*tables, train_losses)}
    if not kinds <= {"float32", "float64"}:
        raise ValueError(f"it holds numbers of the types {', '.join(sorted(kinds))}")
    return {
        "members": members,
        "tables": tuple(tables),
        "train_losses": train_losses,
        "test_epochs": test_epochs,
        "test_losses": arrays.get("test_losses", [len(test_epochs), len(members)]),
        "epochs": epochs,
        "endings": endings,
        "seconds_compile": seconds[0],
        "seconds_run": seconds[1],
    }
