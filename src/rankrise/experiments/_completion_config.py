"""Settings of `rankrise complete`. Nothing here needs JAX, so that help is quick."""

from typing import Any, Literal

from rankrise.experiments._options import (
    Precision,
    Settings,
    option,
    require,
    require_init_scales,
    require_moderate,
    require_not_negative,
    require_positive,
)

Method = Literal["alternating", "paper", "flow", "limit"]

# Settings that only some methods have.
_ALTERNATING = ("smooth", "non_negative", "main_effects")
_STARTED = ("init_scales", "steps", "flat_steps", "save_every")
_DESCENDED = ("solver", "learning_rate", "batch_size")
_GRADIENT = ("components", "kept_components", "precision")
_METHODS: dict[str, tuple[Method, ...]] = {
    **dict.fromkeys(_ALTERNATING, ("alternating",)),
    **dict.fromkeys(_STARTED, ("paper", "flow")),
    **dict.fromkeys(_DESCENDED, ("paper",)),
    **dict.fromkeys(_GRADIENT, ("paper", "flow", "limit")),
}
# Losses whose predictions are probabilities or rates.
_LINKED = ("logistic", "poisson")


class CompletionConfig(Settings):
    """How a partly observed tensor is completed."""

    method: Method = "alternating"
    """alternating: components enter one by one on a path of falling penalties, by
    alternating least squares. paper: gradient descent from near zero. flow: the same as
    gradient flow. limit: gradient flow as the init scale goes to zero."""
    heldout: Literal["auto", "random", "fiber"] = "auto"
    """Hold out entries, or whole fibers; auto looks which of them the gaps are."""
    heldout_share: float | None = None
    """Share of the observed entries that a model is not shown. By default each entry is
    held out once (alternating), or 0.1."""
    seeds: int | None = None
    """How many models, with seeds from the seed on: those whose mean completes the
    tensor (alternating; by default 8, fewer for many entries), or the starts at each
    init scale, the best of which does (1)."""
    seed: int = 0
    """Seed of the held-out entries and of the first model."""
    interval: float | None = None
    """Write also between which bounds this share of entries should lie, such as 0.9."""
    loss: Literal[
        "squared", "absolute", "huber", "smooth-l1", "logistic", "poisson"
    ] = "squared"
    """Loss of one entry: huber for outliers, logistic for labels, poisson for
    counts."""
    loss_threshold: float = 1.0
    """Threshold delta of Huber and smooth-L1 loss, in deviations of the centered
    values: by their median (alternating), or root mean square."""
    center: bool = True
    """Subtract the mean of the observed values inside, and add it back."""
    max_components: int = 64
    """Where no more enter (alternating, limit). The rank is not set by it: it is what
    the method settles at."""
    max_seconds: float | None = None
    """Time limit; what it cuts off depends on the machine."""
    smooth: bool | None = None
    """Take neighbouring rows of a mode to be alike, as far as the data say; by default
    where it is better on held-out entries."""
    non_negative: bool = False
    """No factor is negative, and nothing is subtracted."""
    main_effects: bool = False
    """Subtract a number for every slice inside, and add it back."""
    components: int | None = None
    """How many components start near zero; by default enough for any tensor. The rank
    is not set by it."""
    init_scales: tuple[float, ...] = (0.1, 0.03, 0.01)
    """Standard deviations of the start's parameters, for values of unit root mean
    square. One run for each; the smallest held-out error decides."""
    solver: str = "adaptive"
    """adaptive (the paper's), gradient-descent, or an optax optimizer such as
    optax.adam."""
    learning_rate: float | None = None
    """0.01 by default (0.001 for an optax optimizer)."""
    batch_size: int | None = None
    """Entries per step; all of them by default."""
    steps: int = 20_000
    """Step limit."""
    flat_steps: int = 3_000
    """Stop when the held-out error had no new minimum for so many steps. Runs rest on
    plateaus between two rises, so descent needs thousands."""
    save_every: int = 20
    """Steps between two measurements of the held-out error."""
    kept_components: int = 10
    """How many of the largest components the trajectory keeps."""
    precision: Precision = "float32"
    """Floating-point precision of a gradient method."""

    def model_post_init(self, context: Any, /) -> None:
        share = self.heldout_share
        require(
            share is None or 0 < share < 1,
            f"--heldout-share is {share}; it is a share between 0 and 1.",
        )
        level = self.interval
        require(
            level is None or 0 < level < 1,
            f"--interval is {level}; it is a share between 0 and 1, such as 0.9.",
        )
        require_positive(
            components=self.components,
            max_components=self.max_components,
            seeds=self.seeds,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            steps=self.steps,
            flat_steps=self.flat_steps,
            max_seconds=self.max_seconds,
            save_every=self.save_every,
            kept_components=self.kept_components,
        )
        require(
            self.solver not in ("flow", "limit"),
            f"--solver {self.solver} is for rankrise dynamics; here it is --method "
            f"{self.solver}.",
        )
        require_moderate(loss_threshold=self.loss_threshold)
        require_init_scales(self.init_scales)
        require_not_negative(seed=self.seed)
        self._require_method()

    def _require_method(self) -> None:
        """Refuse settings that the method would silently not heed."""
        for name, methods in _METHODS.items():
            default = type(self).model_fields[name].default
            require(
                self.method in methods or getattr(self, name) == default,
                f"{option(name)} is for --method {' or '.join(methods)}, not "
                f"{self.method}; leave it out or choose another method.",
            )
        require(
            self.method == "alternating" or self.loss not in _LINKED,
            f"--loss {self.loss} is for --method alternating, not {self.method}; "
            "choose another loss or method.",
        )
        require(
            self.method != "limit" or self.loss != "absolute",
            "--loss absolute has a kink where it fits, so --method limit cannot take "
            "it; choose huber with a small --loss-threshold.",
        )
