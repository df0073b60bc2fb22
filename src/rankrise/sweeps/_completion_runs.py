"""Runs of `complete` in a sweep, each of one file."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from rankrise._errors import InputError
from rankrise.completion import CompletionOptions, CompletionSettings
from rankrise.experiments import ExpectedTime
from rankrise.runs import Checkpoint
from rankrise.sweeps._command import (
    TRIED_SECONDS,
    AbstractCommand,
    Given,
    Merit,
    Produced,
)
from rankrise.tensors import IncompleteTensor, Reading


class CompletionCommand(AbstractCommand):
    """A partly observed tensor that is completed, which `file` names."""

    name = "complete"
    model = CompletionOptions
    sources = ("file", *Reading.model_fields)
    files = frozenset({"file", "domain"})
    outputs = ("completion.npz",)
    merits: ClassVar[Mapping[str, Merit]] = {
        "heldout_relative_error": Merit("held-out relative error"),
        "rank_found": Merit("rank"),
        "components_used": Merit("components used"),
        "heldout_centered_error": Merit("held-out relative error about the mean"),
        "train_relative_error": Merit("training relative error"),
        "train_centered_error": Merit("training relative error about the mean"),
        "noise_centered_error": Merit("error by noise alone, about the mean"),
    }

    def checked(self, given: Given) -> BaseModel:
        if "file" not in given:
            raise InputError("complete needs a `file`: the tensor to complete.")
        self._reading(given)
        return super().checked(given)

    def run(
        self, batch: Sequence[Given], checkpoint: Checkpoint | None
    ) -> list[Produced]:
        from rankrise.completion import complete_tensor, summarize_completion

        produced = []
        for given in batch:
            tensor, settings = self._read(given), self._settings(given)
            found = complete_tensor(tensor, settings, checkpoint=checkpoint)
            summary = summarize_completion(found, {"path": given["file"]})

            def write(folder: Path, found: Any = found) -> None:
                found.save(folder / "completion.npz")

            produced.append(Produced(summary, write))
        return produced

    def expected(self, given: Given) -> ExpectedTime:
        from rankrise.completion import complete_tensor

        tensor, settings = self._read(given), self._settings(given)
        if settings.gradient is not None:
            few = settings.model_copy(update={"max_seconds": TRIED_SECONDS})
            began = time.monotonic()
            complete_tensor(tensor, few)
            seconds = time.monotonic() - began
            return ExpectedTime(seconds, f"by {TRIED_SECONDS:g} s of a run at most")
        few = settings.model_copy(update={"models": 1, "max_seconds": TRIED_SECONDS})
        found = complete_tensor(tensor, few)
        models = settings.models_for(len(tensor.observations))
        return ExpectedTime(
            models * found.seconds,
            f"{models} models a run, by the time of one, {TRIED_SECONDS:g} s at most",
        )

    def figures(self, summary: Given) -> dict[str, Any]:
        names = [name for name in self.merits if name.endswith("_error")]
        return {
            "rank_found": summary["rank"],
            "components_used": summary["components"],
            **{name: summary[name] for name in names},
        }

    def _reading(self, given: Given) -> Reading:
        return Reading(**{k: given[k] for k in Reading.model_fields if k in given})

    def _read(self, given: Given) -> IncompleteTensor:
        from rankrise.tensors import incomplete_tensor, read_tensor

        own = {k: given[k] for k in Reading.model_fields if k in given}
        return incomplete_tensor(read_tensor(given["file"], **own))

    def _settings(self, given: Given) -> CompletionSettings:
        options = self.checked(given)
        assert isinstance(options, CompletionOptions)
        return options.settings()
