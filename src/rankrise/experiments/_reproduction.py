"""The paper's figures anew: presets, one of the experiments, and a comparison."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rankrise._environment import environment
from rankrise._strict import strict
from rankrise.complexity import Control
from rankrise.ensembles import FitProgress
from rankrise.experiments._comparison import Comparison, Row, Statement
from rankrise.experiments._complexity import ComplexityResult, run_complexity
from rankrise.experiments._complexity_comparison import compare_complexity
from rankrise.experiments._dynamics import DynamicsResult, run_dynamics
from rankrise.experiments._dynamics_comparison import compare_dynamics
from rankrise.experiments._reproduction_config import (
    ComplexityReproductionConfig,
    DynamicsReproductionConfig,
    ReproductionConfig,
    TheoryReproductionConfig,
)
from rankrise.experiments._summary import (
    summarize_complexity,
    summarize_dynamics,
)
from rankrise.experiments._theory_comparison import compare_theory
from rankrise.experiments._verification import VerificationResult, run_verification
from rankrise.experiments._verification_config import CLAIM_NAMES
from rankrise.experiments._verification_record import summarize_verification
from rankrise.runs import Checkpoint, Progress
from rankrise.tables import LabelledSet
from rankrise.theory import Claim

Outcome = TypeVar("Outcome", DynamicsResult, ComplexityResult, VerificationResult)


@dataclass(frozen=True, eq=False)
class ReproductionResult(Generic[Outcome]):
    """An experiment of the paper, beside the paper.

    Attributes
    ----------
    outcome
        Of the experiment, as `run_dynamics`, `run_complexity` or `run_verification`
        gave it.
    """

    config: ReproductionConfig
    outcome: Outcome
    comparison: Comparison


def reproduce_dynamics(
    config: DynamicsReproductionConfig | None = None,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> ReproductionResult[DynamicsResult]:
    """Components that rise at three init scales (Razin et al. 2021)."""
    config = config or DynamicsReproductionConfig()
    outcome = run_dynamics(config.experiment, checkpoint=checkpoint, progress=progress)
    return ReproductionResult(config, outcome, compare_dynamics(outcome))


def reproduce_complexity(
    config: ComplexityReproductionConfig | None = None,
    *,
    data: LabelledSet | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[Control, FitProgress], None] | None = None,
) -> ReproductionResult[ComplexityResult]:
    """Errors by rank of images and of random twins (Razin et al. 2021, Section 5).

    Parameters
    ----------
    data
        The images, if they have been loaded.
    """
    config = config or ComplexityReproductionConfig()
    outcome = run_complexity(
        config.dataset,
        config.experiment,
        data=data,
        checkpoint=checkpoint,
        progress=progress,
    )
    return ReproductionResult(config, outcome, compare_complexity(outcome))


def reproduce_theory(
    config: TheoryReproductionConfig | None = None,
    *,
    done: Mapping[str, tuple[Claim, float]] | None = None,
    starting: Callable[[str, int, int], None] | None = None,
    finished: Callable[[Claim, float], None] | None = None,
) -> ReproductionResult[VerificationResult]:
    """The paper's theorems, predicted against measured.

    Parameters
    ----------
    done, starting, finished
        As `run_verification` takes them.
    """
    config = config or TheoryReproductionConfig()
    outcome = run_verification(
        config.experiment, done=done, starting=starting, finished=finished
    )
    return ReproductionResult(config, outcome, compare_theory(outcome))


def summarize_reproduction(result: ReproductionResult[Any]) -> dict[str, Any]:
    """The summary of `rankrise reproduce`: the comparison, and all of the experiment.

    A number or verdict that there is not is None.
    """
    comparison = result.comparison
    experiment = _summarized(result.outcome)
    return strict(
        {
            "settings": result.config.model_dump(mode="json"),
            **environment(),
            "seed": result.config.seed,
            "result": experiment["result"],
            "left_out": list(result.config.left_out),
            "reference": comparison.reference,
            "notes": list(comparison.notes),
            "statements": list(map(_statement, comparison.statements)),
            "rows": list(map(_row, comparison.rows)),
            "experiment": experiment,
        }
    )


def _summarized(
    outcome: DynamicsResult | ComplexityResult | VerificationResult,
) -> dict[str, Any]:
    if isinstance(outcome, DynamicsResult):
        return summarize_dynamics(outcome)
    if isinstance(outcome, ComplexityResult):
        return summarize_complexity(outcome)
    return summarize_verification(outcome, {"claims": list(CLAIM_NAMES)})


def _statement(statement: Statement) -> dict[str, Any]:
    return dict(vars(statement))


def _row(row: Row) -> dict[str, Any]:
    return {**vars(row), "difference": row.difference}
