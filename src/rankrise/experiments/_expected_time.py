"""How long a reproduction will take, measured on its own first steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from rankrise._defaults import EPOCHS
from rankrise.experiments._complexity import run_complexity
from rankrise.experiments._dynamics import run_dynamics
from rankrise.experiments._reproduction_config import (
    ComplexityReproductionConfig,
    DynamicsReproductionConfig,
    TheoryReproductionConfig,
    Variant,
)
from rankrise.tables import LabelledSet

_STEPS = 200
# Epochs of many models take seconds each, of few models a fraction of one.
_EPOCHS, _SECONDS_TRIED = 40, 15.0
_STEP_LIMIT = 40_000
# Of each claim, in full and quick, as two cores took for them the first time. Most of
# it is compiling, so that the second time takes less.
_SECONDS = {
    "conservation": (10.0, 10.0),
    "growth": (3.0, 3.0),
    "growth-bounds": (2.0, 2.0),
    "escape": (17.0, 17.0),
    "rank-one": (13.0, 8.0),
    "corollary": (14.0, 8.0),
    "matrix-growth": (21.0, 9.0),
}


@dataclass(frozen=True)
class ExpectedTime:
    """Seconds, and in words how they were found."""

    seconds: float
    basis: str


def expected_dynamics_time(
    config: DynamicsReproductionConfig, variant: Variant
) -> ExpectedTime:
    """Longest time of a variant; a run whose loss passes its tolerance ends sooner."""
    experiment = config.experiments[variant]
    pilot = run_dynamics(experiment.model_copy(update={"steps": _STEPS}))
    trajectory = pilot.trajectory
    steps = experiment.steps or _STEP_LIMIT
    return ExpectedTime(
        trajectory.seconds_run * steps / _STEPS,
        f"at most {steps} iterations, by the pace of {_STEPS}",
    )


def expected_complexity_time(
    config: ComplexityReproductionConfig, data: LabelledSet
) -> ExpectedTime:
    """By the pace of some epochs on the data; their controls take as long."""
    experiment = config.experiment
    wanted = experiment.epochs or EPOCHS
    # The whole uses the programs compiled for these.
    few = {
        "epochs": min(_EPOCHS, wanted),
        "controls": ("none",),
        "max_seconds": _SECONDS_TRIED,
    }
    pilot = run_complexity(config.dataset, experiment.model_copy(update=few), data=data)
    tried = max(fit.epochs for fit in pilot.curve.fits)
    epochs = len(experiment.control_list) * wanted
    return ExpectedTime(
        pilot.curve.seconds_run * epochs / tried,
        f"{epochs} epochs, by the pace of {tried}",
    )


def expected_theory_time(
    config: TheoryReproductionConfig, done: tuple[str, ...] = ()
) -> ExpectedTime:
    """Time that the claims not yet done took on another machine."""
    return expected_claims_time(
        [name for name in _SECONDS if name not in done], quick=config.quick
    )


def expected_claims_time(claims: Sequence[str], *, quick: bool = False) -> ExpectedTime:
    """Time that these claims took on another machine."""
    seconds = sum((_SECONDS[name][quick] for name in claims), start=0.0)
    return ExpectedTime(
        seconds, f"{len(claims)} claims, as long as two cores took once"
    )
