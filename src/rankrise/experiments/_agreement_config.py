"""Settings of `rankrise agreement`. Nothing here needs JAX, so that help is quick."""

import math

from rankrise.experiments._options import (
    ExperimentSettings,
    Precision,
    require,
    require_init_scales,
    require_mode_dims,
    require_moderate,
    require_not_negative,
    require_positive,
    typed,
)


class AgreementConfig(ExperimentSettings):
    """A synthetic completion problem on which descent, flow and limit are compared."""

    mode_dims: tuple[int, ...] = (8, 8, 8)
    """Dimension of each mode."""
    target_rank: int = 3
    """CP rank of the target."""
    observations: int = 300
    """How many entries are observed."""
    components: int = 20
    """Components of the CP factorization."""
    seed: int = 0
    """Seed of the target, of what is observed and of the start."""
    init_scale: float = 0.03
    """Standard deviation of the start's parameters where descent is compared with the
    flow."""
    learning_rates: tuple[float, ...] | None = None
    """Learning rates of gradient descent; by default the largest stable one times 1/2,
    1/4, ... 1/32. Each is made to divide the time between two comparisons."""
    init_scales: tuple[float, ...] = (0.1, 0.03, 0.01, 0.003, 0.001)
    """Standard deviations of the start's parameters where the flow is compared with
    its limit."""
    comparisons: int = 60
    """Number of times at which descent is compared with the flow."""
    rtol: float = 1e-7
    """Error that the flow may make in a step, relative to a component's size."""
    precision: Precision = "float64"
    """Floating-point precision of the runs."""

    def check(self) -> None:
        require_mode_dims(self.mode_dims)
        require(
            len(self.mode_dims) >= 3,
            f"`mode_dims` is {typed(self.mode_dims)}; components escape one by one "
            "from order three on, so give three whole numbers or more.",
        )
        require_positive(
            target_rank=self.target_rank,
            observations=self.observations,
            components=self.components,
            comparisons=self.comparisons,
        )
        require_moderate(init_scale=self.init_scale, rtol=self.rtol)
        least = 1e-4 if self.precision == "float32" else 1e-12
        require(
            self.rtol >= least,
            f"`rtol` is {self.rtol}, and {self.precision} has rounding errors of that "
            f"size; give {least} or more.",
        )
        require_not_negative(seed=self.seed)
        require_init_scales(self.init_scales)
        for rate in self.learning_rates or ():
            require_moderate(learning_rates=rate)
        require(
            self.learning_rates is None or len(self.learning_rates) > 0,
            "`learning_rates` is empty; give at least one number or leave it out.",
        )
        entries = math.prod(self.mode_dims)
        require(
            self.observations <= entries,
            f"`observations` is {self.observations} but a tensor with mode dimensions "
            f"{typed(self.mode_dims)} has {entries} entries; ask for fewer.",
        )
        require(
            max(self.init_scales) < 1,
            f"`init_scales` has {max(self.init_scales)}; the limit is of scales below "
            "1.",
        )
