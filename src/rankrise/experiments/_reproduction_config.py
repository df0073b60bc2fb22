"""Settings of `rankrise reproduce`. Nothing here needs JAX, so that help is quick."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from rankrise.experiments._complexity_config import ComplexityConfig
from rankrise.experiments._dynamics_config import DynamicsConfig
from rankrise.experiments._options import (
    ExperimentSettings,
    KeptComponents,
    require_kept_components,
    require_not_negative,
)
from rankrise.experiments._verification_config import VerificationConfig

Variant = Literal["main", "order-3", "sensing", "huber", "l1", "matrix", "unequal"]

# What makes a run quick: about ten minutes on two cores at most. The settings of the
# paper are the defaults of each experiment, but for the number of components, which
# there is any that suffices, and for how predictors are trained.
_DYNAMICS: dict[str, Any] = {"components": 1000}
_QUICK_DYNAMICS: dict[str, Any] = {"init_scales": (0.05, 0.01), "steps": 8000}
_ORDER_3: dict[str, Any] = {
    "order": 3,
    "target_rank": 3,
    "observations": 400,
    "init_scales": (0.05, 0.01, 0.001),
}
_MATRIX: dict[str, Any] = {
    "order": 2,
    "mode_dim": 30,
    "target_rank": 3,
    "observations": 500,
    "factorization": "matrix",
    "init_scales": (0.05, 0.01, 0.001),
}
_COMPLEXITY: dict[str, Any] = {
    "ranks": ("1-15",),
    "folds": 1,
    "optimizer": "adam",
    "batch_size": 5000,
    "epochs": 10_000,
}
_QUICK_COMPLEXITY: dict[str, Any] = {
    "ranks": ("1-2",),
    "epochs": 1000,
}
_THEORY: dict[str, Any] = {}
_QUICK_THEORY: dict[str, Any] = {"alphas": (0.05, 0.025, 0.0125), "depths": (2, 3)}


def _presets() -> Mapping[Variant, tuple[dict[str, Any], dict[str, Any]]]:
    """Settings of every variant, in full, and what changes them to a quick one.

    A step takes some twenty times as long at order 4 as at order 3, for sensing, whose
    measurement tensors are dense, a thousand times. Huber loss has smaller gradients
    at zero than the squared loss, so that its first rise takes more iterations.
    """
    return {
        "main": (_DYNAMICS, _QUICK_DYNAMICS),
        "order-3": (_ORDER_3, {}),
        "sensing": ({**_ORDER_3, "task": "sensing"}, {}),
        "huber": (
            {**_DYNAMICS, "loss": "huber", "steps": 80_000},
            {**_ORDER_3, "components": None, "steps": None},
        ),
        # At order 4 the second component has not risen after 16,000 iterations.
        "l1": ({**_ORDER_3, "loss": "absolute"}, {}),
        "matrix": (_MATRIX, {}),
        "unequal": ({**_ORDER_3, "mode_dims": (7, 10, 14)}, {}),
    }


class DynamicsReproductionConfig(ExperimentSettings):
    """The paper's dynamics experiment, its variants, and how they are made quick."""

    variant: Literal[Variant, "all"] = "main"
    """main (the paper's figure: order 4, entries, squared loss), order-3, sensing
    (order 3, dense Gaussian measurement tensors), huber (order 4), l1 (order 3, the
    absolute loss), matrix (a deep matrix factorization), unequal (mode dimensions 7, 10
    and 14), or all."""
    quick: bool = False
    """Leave out what takes longest, and say what."""
    seed: int = 0
    """Seed of the target, of what is observed and of the start; those of the paper are
    not known."""
    kept_components: KeptComponents = 10
    """How many of the largest components the trajectories keep, or all."""

    def check(self) -> None:
        require_not_negative(seed=self.seed)
        require_kept_components(self.kept_components)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Names of those that are run, in order."""
        return get_args(Variant) if self.variant == "all" else (self.variant,)

    @property
    def experiments(self) -> dict[Variant, DynamicsConfig]:
        """Settings of `rankrise dynamics` for each of the variants."""
        own: dict[str, Any] = {
            "seed": self.seed,
            "kept_components": self.kept_components,
        }
        return {
            variant: DynamicsConfig(**full | (quick if self.quick else {}), **own)
            for variant, (full, quick) in _presets().items()
            if variant in self.variants
        }

    @property
    def left_out(self) -> tuple[str, ...]:
        """What a quick run lacks."""
        full, quick = _full_of(self).experiments, self.experiments
        return tuple(
            self.label(variant, lack)
            for variant in self.variants
            for lack in _lacks(full[variant], quick[variant])
        )

    def label(self, variant: Variant, words: str) -> str:
        """Words about a variant; with its name where there are several."""
        return words if len(self.variants) == 1 else f"{variant}: {words}"


class ComplexityReproductionConfig(ExperimentSettings):
    """The paper's complexity experiment, and how it is made quick."""

    dataset: Literal["mnist", "fashion-mnist"] = "mnist"
    """Which of the paper's data sets; nothing was read off its plot of
    fashion-mnist."""
    quick: bool = False
    """Fit fewer ranks for fewer epochs, in about ten minutes on two cores, and say what
    is left out."""
    seed: int = 0
    """Seed of the starts, of the shuffling and of the random controls."""

    def check(self) -> None:
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


class TheoryReproductionConfig(ExperimentSettings):
    """The paper's theorems put to the test, and how that is made quick."""

    quick: bool = False
    """Leave out some of what each claim is tested on, and say what."""
    seed: int = 2
    """Seed of the target, of what is observed and of the start; see rankrise verify."""

    def check(self) -> None:
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


def _lacks(full: DynamicsConfig, quick: DynamicsConfig) -> Iterator[str]:
    if full.dims != quick.dims:
        yield f"order {len(full.dims)}, for which order {len(quick.dims)} is run"
        return
    if scales := [s for s in full.init_scales if s not in quick.init_scales]:
        yield f"init scale {_listed(scales)}"
    if quick.steps != full.steps:
        yield f"iterations after {quick.steps}"


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
