"""Runs of `complexity` in a sweep, each of one data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from rankrise._errors import InputError
from rankrise.experiments import ComplexityConfig, ExpectedTime
from rankrise.runs import Checkpoint
from rankrise.sweeps._command import (
    TRIED_SECONDS,
    AbstractCommand,
    Given,
    Merit,
    Produced,
)


class ComplexityCommand(AbstractCommand):
    """Errors by rank of a data set, which `dataset` names, and of random controls."""

    name = "complexity"
    model = ComplexityConfig
    sources = ("dataset",)
    files = frozenset({"dataset"})
    known = ("digits", "mnist", "fashion-mnist")
    outputs = ("curve.npz",)
    merits: ClassVar[Mapping[str, Merit]] = {
        "complexity_rank": Merit("rank that explains the structure"),
        "structure": Merit("share of the error that structure takes"),
        "train_error": Merit("training error at the highest rank"),
        "test_error": Merit("test error at the highest rank"),
        "train_error_lowest": Merit("training error at the lowest rank"),
        "test_error_lowest": Merit("test error at the lowest rank"),
    }

    def checked(self, given: Given) -> BaseModel:
        if "dataset" not in given:
            raise InputError(
                "complexity needs a `dataset`: digits, mnist, fashion-mnist or a table."
            )
        return super().checked(given)

    def run(
        self, batch: Sequence[Given], checkpoint: Checkpoint | None
    ) -> list[Produced]:
        from rankrise.experiments import run_complexity, summarize_complexity

        produced = []
        for given in batch:
            config: Any = self.checked(given)
            result = run_complexity(given["dataset"], config, checkpoint=checkpoint)

            def write(folder: Path, result: Any = result) -> None:
                result.curve.save(folder / "curve.npz")

            produced.append(Produced(summarize_complexity(result), write))
        return produced

    def expected(self, given: Given) -> ExpectedTime:
        from rankrise.experiments import run_complexity

        config: Any = self.checked(given)
        few = {"controls": ("none",), "max_seconds": TRIED_SECONDS}
        found = run_complexity(given["dataset"], config.model_copy(update=few))
        times = len(config.control_list)
        return ExpectedTime(
            times * found.curve.seconds_run,
            f"{times} times what the data took without controls, {TRIED_SECONDS:g} s "
            "at most",
        )

    def figures(self, summary: Given) -> dict[str, Any]:
        found = summary["complexity"] or {}
        rows = [row for row in summary["rows"] if row["control"] == "data"]
        ranks = [row["rank"] for row in rows]

        def mean(split: str, rank: int) -> float | None:
            errors = [row[f"{split}_error"] for row in rows if row["rank"] == rank]
            return None if None in errors else sum(errors) / len(errors)

        return {
            "complexity_rank": found.get("rank"),
            "structure": found.get("structure"),
            **{f"{s}_error": mean(s, max(ranks)) for s in ("train", "test")},
            **{f"{s}_error_lowest": mean(s, min(ranks)) for s in ("train", "test")},
        }
