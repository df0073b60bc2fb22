"""Settings of `rankrise reproduce`. Nothing here needs JAX, so that help is quick."""

from collections.abc import Sequence
from typing import Any, Literal

from rankrise.experiments._complexity_config import ComplexityConfig
from rankrise.experiments._dynamics_config import DynamicsConfig
from rankrise.experiments._options import Settings, require_not_negative
from rankrise.experiments._verification_config import VerificationConfig

# What makes a run quick: about ten minutes on two cores at most. The settings of the
# paper are the defaults of each experiment, but for the number of components, which
# there is any that suffices, and for how predictors are trained.
_DYNAMICS: dict[str, Any] = {"components": 1000}
_QUICK_DYNAMICS: dict[str, Any] = {"init_scales": (0.05, 0.01), "steps": 8000}
_COMPLEXITY: dict[str, Any] = {"optimizer": "adam", "epochs": 10_000}
_QUICK_COMPLEXITY: dict[str, Any] = {
    "ranks": ("1-2",),
    "epochs": 1000,
}
_THEORY: dict[str, Any] = {}
_QUICK_THEORY: dict[str, Any] = {"alphas": (0.05, 0.025, 0.0125), "depths": (2, 3)}


class DynamicsReproductionConfig(Settings):
    """The paper's dynamics experiment, and how it is made quick."""

    quick: bool = False
    """Leave out what takes longest, and say what."""
    seed: int = 0
    """Of the target, of what is observed and of the start; those of the paper are not
    known."""

    def model_post_init(self, context: Any, /) -> None:
        require_not_negative(seed=self.seed)

    @property
    def experiment(self) -> DynamicsConfig:
        """Settings of `rankrise dynamics`."""
        changed = _QUICK_DYNAMICS if self.quick else {}
        return DynamicsConfig(**{**_DYNAMICS, **changed}, seed=self.seed)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What a quick run lacks."""
        if not self.quick:
            return ()
        full, quick = _full_of(self).experiment, self.experiment
        scales = [s for s in full.init_scales if s not in quick.init_scales]
        return (f"init scale {_listed(scales)}", f"iterations after {quick.steps}")


class ComplexityReproductionConfig(Settings):
    """The paper's complexity experiment, and how it is made quick."""

    dataset: Literal["mnist", "fashion-mnist"] = "mnist"
    """Which of the paper's data sets; of fashion-mnist nothing was read off the
    plot."""
    quick: bool = False
    """Fit fewer ranks for fewer epochs, in about ten minutes on two cores, and say what
    is left out."""
    seed: int = 0
    """Of the starts, of the shuffling and of what is random in the controls."""

    def model_post_init(self, context: Any, /) -> None:
        require_not_negative(seed=self.seed)

    @property
    def experiment(self) -> ComplexityConfig:
        """Settings of `rankrise complexity`."""
        changed = _QUICK_COMPLEXITY if self.quick else {}
        return ComplexityConfig(
            **{**_COMPLEXITY, **changed}, seeds=(self.seed,), seed=self.seed
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """What a quick run lacks."""
        if not self.quick:
            return ()
        full, quick = _full_of(self).experiment, self.experiment
        ranks = [r for r in full.rank_list if r not in quick.rank_list]
        return (
            f"ranks {_ranges(ranks)}",
            f"epochs after {quick.epochs} of {full.epochs}: from rank 2 on errors are "
            "still on their way down",
        )


class TheoryReproductionConfig(Settings):
    """The paper's theorems put to the test, and how that is made quick."""

    quick: bool = False
    """Leave out some of what each claim is tested on, and say what."""
    seed: int = 2
    """Of the target, of what is observed and of the start; see rankrise verify."""

    def model_post_init(self, context: Any, /) -> None:
        require_not_negative(seed=self.seed)

    @property
    def experiment(self) -> VerificationConfig:
        """Settings of `rankrise verify`."""
        changed = _QUICK_THEORY if self.quick else {}
        return VerificationConfig(**{**_THEORY, **changed}, seed=self.seed)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What a quick run lacks."""
        if not self.quick:
            return ()
        full, quick = _full_of(self).experiment, self.experiment
        depths = [depth for depth in full.depths if depth not in quick.depths]
        return (
            f"of rank-one and corollary, all init scales but {_listed(quick.alphas)}",
            f"of matrix-growth, depth {_listed(depths)}",
        )


ReproductionConfig = (
    DynamicsReproductionConfig | ComplexityReproductionConfig | TheoryReproductionConfig
)


def _full_of(config: Any) -> Any:
    return config.model_copy(update={"quick": False})


def _ranges(ranks: Sequence[int]) -> str:
    """Whole numbers in order as they are typed, with ranges."""
    starts = [rank for rank in ranks if rank - 1 not in ranks]
    ends = [rank for rank in ranks if rank + 1 not in ranks]
    return _listed(
        [
            f"{start} to {end}" if start < end else start
            for start, end in zip(starts, ends, strict=True)
        ]
    )


def _listed(values: Sequence[object] | None) -> str:
    *before, last = map(str, values or ("none",))
    return f"{', '.join(before)} and {last}" if before else last
