"""The paper's figures anew: presets, one of the experiments, and a comparison."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from rankrise._environment import environment
from rankrise._strict import strict
from rankrise.complexity import Control
from rankrise.drawing import Drawing, Plotted
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
    Variant,
)
from rankrise.experiments._summary import (
    summarize_complexity,
    summarize_dynamics,
)
from rankrise.experiments._theory_comparison import compare_theory
from rankrise.experiments._variant_comparison import compare_variant
from rankrise.experiments._verification import (
    ClaimProgress,
    VerificationResult,
    run_verification,
)
from rankrise.experiments._verification_config import CLAIM_NAMES
from rankrise.experiments._verification_record import summarize_verification
from rankrise.runs import (
    Checkpoint,
    Ending,
    Pool,
    Progress,
    ShowProgress,
    Watch,
    as_part,
    check_checkpoint,
    showing,
)
from rankrise.tables import LabelledSet
from rankrise.theory import Claim

# Whose numbers are of another time, so that nothing is said by them.
_CUT_OFF = (Ending.INTERRUPTED, Ending.TIME_LIMIT)
DynamicsResults = Mapping[Variant, DynamicsResult]
Outcome = TypeVar("Outcome", DynamicsResults, ComplexityResult, VerificationResult)


@dataclass(frozen=True, eq=False)
class ReproductionResult(Plotted, Generic[Outcome]):
    """An experiment of the paper, beside the paper.

    Attributes
    ----------
    outcome
        What `run_complexity` or `run_verification` gave; for dynamics, what
        `run_dynamics` gave for each variant, by name.
    """

    config: ReproductionConfig
    outcome: Outcome
    comparison: Comparison

    def drawing(self) -> Drawing:
        """The experiment's panels, with what was read off the paper's figures."""
        from rankrise.experiments._plot import (
            draw_complexity_reproduction,
            draw_dynamics_reproduction,
        )

        outcome: Any = self.outcome
        if isinstance(outcome, ComplexityResult):
            return draw_complexity_reproduction(outcome.curve, outcome.dataset)
        if isinstance(outcome, VerificationResult):
            return outcome.drawing()
        runs = {name: each.trajectory.runs() for name, each in outcome.items()}
        return draw_dynamics_reproduction(runs)

    def __repr__(self) -> str:
        said = [each for each in self.comparison.statements if each.ours is not None]
        agree = sum(each.ours == each.paper for each in said)
        return (
            f"<ReproductionResult: {agree} of {len(said)} statements as in "
            f"{self.comparison.reference}>"
        )


def reproduce_dynamics(
    config: DynamicsReproductionConfig | None = None,
    *,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Progress], None] = None,
    starting: Callable[[Variant, int, int], None] | None = None,
    pool: Pool | None = None,
) -> ReproductionResult[DynamicsResults]:
    """Components that rise at several init scales (Razin et al. 2021).

    Parameters
    ----------
    checkpoint
        Where there are several variants, each has a file of its own, with the
        variant's name before the suffix.
    starting
        Called with the name of each variant before it is run, its place (from 1) and
        how many there are.
    pool
        Processes that do a variant each, without checkpoints.

    Notes
    -----
    Where an interrupt is kept, the result holds the variants that had begun.
    """
    config = config or DynamicsReproductionConfig()
    outcomes: dict[Variant, DynamicsResult] = {}
    several = len(config.variants) > 1
    check_checkpoint(checkpoint)
    with showing(progress) as report, Watch() as watch:
        if pool is not None:
            results = pool.call_all(
                run_dynamics,
                [(experiment,) for experiment in config.experiments.values()],
                stopped=lambda: watch.ending() is not None,
                progress=report,
            )
            outcomes = dict(zip(config.experiments, results, strict=False))
            return ReproductionResult(config, outcomes, _compared(config, outcomes))
        for place, (variant, experiment) in enumerate(config.experiments.items(), 1):
            if starting is not None:
                starting(variant, place, len(config.variants))
            own = checkpoint.part(variant) if checkpoint and several else checkpoint
            with as_part(variant if several else "", place - 1, len(config.variants)):
                outcomes[variant] = run_dynamics(
                    experiment, checkpoint=own, progress=report
                )
            if watch.ending() is not None:
                break
    return ReproductionResult(config, outcomes, _compared(config, outcomes))


def _compared(
    config: DynamicsReproductionConfig, outcomes: DynamicsResults
) -> Comparison:
    """Comparisons of all variants, one after another."""
    parts = {
        variant: compare_dynamics(outcome)
        if variant == "main"
        else compare_variant(outcome)
        for variant, outcome in outcomes.items()
    }

    def labelled(name: str) -> Iterator[Any]:
        for variant, part in parts.items():
            ending = outcomes[variant].trajectory.result
            for each in getattr(part, name):
                if isinstance(each, Statement) and ending in _CUT_OFF:
                    each = replace(each, ours=None, evidence=f"{ending}")
                yield replace(each, group=config.label(variant, each.group))

    return Comparison(
        reference=" or ".join(dict.fromkeys(part.reference for part in parts.values())),
        rows=tuple(labelled("rows")),
        statements=tuple(labelled("statements")),
        notes=tuple(dict.fromkeys(n for part in parts.values() for n in part.notes)),
    )


def reproduce_complexity(
    config: ComplexityReproductionConfig | None = None,
    *,
    data: LabelledSet | None = None,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Control, FitProgress], None] = None,
    pool: Pool | None = None,
) -> ReproductionResult[ComplexityResult]:
    """Errors by rank of images and of random controls (Razin et al. 2021, Section 5).

    Parameters
    ----------
    data
        The images, if they have been loaded.
    pool
        Processes that fit the images and their controls.
    """
    config = config or ComplexityReproductionConfig()
    outcome = run_complexity(
        config.dataset,
        config.experiment,
        data=data,
        checkpoint=checkpoint,
        progress=progress,
        pool=pool,
    )
    return ReproductionResult(config, outcome, compare_complexity(outcome))


def reproduce_theory(
    config: TheoryReproductionConfig | None = None,
    *,
    done: Mapping[str, tuple[Claim, float]] | None = None,
    progress: ShowProgress | Callable[[ClaimProgress], None] = None,
    finished: Callable[[Claim, float], None] | None = None,
    pool: Pool | None = None,
) -> ReproductionResult[VerificationResult]:
    """The paper's theorems, predicted against measured.

    Parameters
    ----------
    done, progress, finished, pool
        As `run_verification` takes them.
    """
    config = config or TheoryReproductionConfig()
    outcome = run_verification(
        config.experiment, done=done, progress=progress, finished=finished, pool=pool
    )
    return ReproductionResult(config, outcome, compare_theory(outcome))


def summarize_reproduction(result: ReproductionResult[Any]) -> dict[str, Any]:
    """The summary of `rankrise reproduce`: the comparison, and all of the experiment.

    Numbers and verdicts that are missing are None.
    """
    comparison = result.comparison
    experiment = _summarized(result)
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


def _summarized(result: ReproductionResult[Any]) -> dict[str, Any]:
    outcome = result.outcome
    if isinstance(outcome, ComplexityResult):
        return summarize_complexity(outcome)
    if isinstance(outcome, VerificationResult):
        return summarize_verification(outcome, {"claims": list(CLAIM_NAMES)})
    parts = {variant: summarize_dynamics(each) for variant, each in outcome.items()}
    assert isinstance(result.config, DynamicsReproductionConfig)
    if len(result.config.variants) == 1:
        return next(iter(parts.values()))
    return {
        "result": Ending.worst(part["result"] for part in parts.values()),
        "runs": [
            {"variant": variant, **run}
            for variant, part in parts.items()
            for run in part.pop("runs")
        ],
        "variants": parts,
    }


def _statement(statement: Statement) -> dict[str, Any]:
    return dict(vars(statement))


def _row(row: Row) -> dict[str, Any]:
    return {**vars(row), "difference": row.difference}
