"""Checkpoints: finished and unfinished models, and the run that they belong to."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.completion._model import Key, Model, Variant
from rankrise.completion._path import Path, WalkState
from rankrise.completion._settings import Centering, CompletionSettings
from rankrise.tensors import Observations

Arrays = Mapping[str, Values]
Facts = Mapping[str, Any]


def to_saved(
    models: Mapping[Key, Model], walks: Mapping[Key, WalkState]
) -> tuple[dict[str, Values], dict[str, Any]]:
    """Arrays, and facts that JSON can hold."""
    arrays = {f"model{n}": m.path.factors for n, m in enumerate(models.values())}
    for number, state in enumerate(walks.values()):
        arrays[f"walk{number}"] = state.factors
        arrays[f"walk{number}-best"] = state.best
    facts = {
        "models": [{"key": key, **m.path.facts()} for key, m in models.items()],
        "walks": [{"key": key, "facts": dict(w.facts)} for key, w in walks.items()],
    }
    return arrays, facts


def from_saved(
    arrays: Arrays, facts: Facts, model_of: Callable[[Key, Path], Model]
) -> tuple[dict[Key, Model], dict[Key, WalkState]]:
    """Finished models, made of their paths, and unfinished paths.

    Raises
    ------
    InputError
        If something else was saved.
    """
    try:
        models = {}
        for number, each in enumerate(facts["models"]):
            key = _key(each["key"])
            path = Path.of_facts(each, arrays[f"model{number}"])
            models[key] = model_of(key, path)
        walks = {
            _key(each["key"]): WalkState(
                each["facts"], arrays[f"walk{number}"], arrays[f"walk{number}-best"]
            )
            for number, each in enumerate(facts["walks"])
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The checkpoint does not hold a completion ({error!r}); start again "
            "without resuming."
        ) from error
    return models, walks


def _key(saved: Any) -> Key:
    number, (smooth, loss, centering) = saved
    return number, Variant(smooth, loss, Centering(centering))


def fingerprint(
    observations: Observations, settings: CompletionSettings
) -> dict[str, Any]:
    """What a completion must agree with to go on from a checkpoint."""
    content = hashlib.sha256()
    for name in ("indices", "values", "weights", "exists"):
        array = getattr(observations, name)
        if array is not None:
            content.update(np.ascontiguousarray(array).data)
    fields = type(settings).model_fields
    return {
        **{name: _told(getattr(settings, name)) for name in fields},
        "mode_dims": list(observations.mode_dims),
        "observations": content.hexdigest(),
    }


def _told(value: object) -> str:
    """Text of a setting that is the same in another process."""
    words = repr(value)
    if type(value).__repr__ is object.__repr__:
        words = f"{type(value).__qualname__}({vars(value)})"
    return words
