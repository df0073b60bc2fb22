"""Settings of `rankrise complete`. Nothing here needs JAX, so that help is quick."""

from typing import Any, Literal

from rankrise.experiments._options import (
    Precision,
    Settings,
    require,
    require_init_scales,
    require_moderate,
    require_not_negative,
    require_positive,
)


class CompletionConfig(Settings):
    """How a partly observed tensor is completed."""

    heldout: float = 0.1
    """Share of the observed entries held out to choose where to stop."""
    components: int | None = None
    """How many components; by default enough for any tensor. The rank is not set by
    it: it is what the run settles at."""
    init_scales: tuple[float, ...] = (0.1, 0.03, 0.01)
    """Standard deviations of the start's parameters, for values of unit root mean
    square. One run for each; the smallest held-out error decides."""
    starts: int = 1
    """Random starts at every init scale, with seeds from the seed on."""
    seed: int = 0
    """Seed of the held-out entries and of the first start."""
    loss: Literal["squared", "absolute", "huber", "smooth-l1"] = "squared"
    """Loss of one entry; the objective is its mean."""
    loss_threshold: float = 1.0
    """Threshold delta of Huber and smooth-L1 loss, in root mean squares of the
    centered values."""
    center: bool = True
    """Subtract the mean of the observed values inside, and add it back."""
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
    plateaus between two rises, so thousands are needed."""
    max_seconds: float | None = None
    """Time limit; what it cuts off depends on the machine."""
    save_every: int = 20
    """Steps between two measurements of the held-out error."""
    kept_components: int = 10
    """How many of the largest components the trajectory keeps."""
    precision: Precision = "float32"
    """Floating-point precision of the run."""

    def model_post_init(self, context: Any, /) -> None:
        require(
            0 < self.heldout < 1,
            f"--heldout is {self.heldout}; it is a share between 0 and 1.",
        )
        require_positive(
            components=self.components,
            starts=self.starts,
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
            f"--solver {self.solver} is for rankrise dynamics; choose adaptive, "
            "gradient-descent or an optax optimizer such as optax.adam.",
        )
        require_moderate(loss_threshold=self.loss_threshold)
        require_init_scales(self.init_scales)
        require_not_negative(seed=self.seed)
