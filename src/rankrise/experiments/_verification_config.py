"""Settings of `rankrise verify`. Nothing here needs JAX, so that help is quick."""

import math
from typing import Literal

from rankrise._errors import InputError
from rankrise.experiments._options import (
    ExperimentSettings,
    require,
    require_mode_dims,
    require_moderate,
    require_not_negative,
    require_order,
    require_positive,
    typed,
)

ClaimName = Literal[
    "conservation",
    "growth",
    "growth-bounds",
    "escape",
    "rank-one",
    "corollary",
    "matrix-growth",
]
CLAIM_NAMES: tuple[ClaimName, ...] = (
    "conservation",
    "growth",
    "growth-bounds",
    "escape",
    "rank-one",
    "corollary",
    "matrix-growth",
)

_HIGHEST_ORDER = 12
_OF_SYNTHETIC = (
    "order",
    "mode_dim",
    "mode_dims",
    "target_rank",
    "task",
    "observations",
    "observed",
)
_OF_FILES = ("center",)
# Every claim forms the end tensor, and flows are followed at tight tolerance.
LARGEST_ENTRIES = 100_000


class VerificationConfig(ExperimentSettings):
    """Which claims are put to the test, on which problem and from which start.

    The defaults are a small problem on which every assumption is fulfilled.
    """

    order: int = 3
    """How many modes the tensor has."""
    mode_dim: int = 4
    """Dimension of every mode."""
    mode_dims: tuple[int, ...] | None = None
    """Dimension of each mode, where they differ; replaces order and mode dimension."""
    target_rank: int = 2
    """CP rank of the target, whose entries have a mean square of one."""
    task: Literal["completion", "sensing", "sensing-rank-k"] = "completion"
    """What is observed: entries, or inner products with dense Gaussian measurement
    tensors, or with measurement tensors of CP rank one."""
    observations: int = 42
    """How many observations."""
    observed: Literal["largest", "random"] = "largest"
    """Entries that completion observes: the largest in size, which leaves rank-one and
    corollary room between zero and the smallest of them, or random ones."""
    center: bool = False
    """Subtract the mean of the observed values of a problem from a file."""
    components: int = 5
    """How many components."""
    init_scale: float = 0.2
    """Standard deviation of the start's parameters, for values of unit root mean
    square; the start is balanced where the claim is about balanced ones."""
    alphas: tuple[float, ...] | None = None
    """Init scales of rank-one and corollary: the norms of the longest vectors of the
    start; by default over two decades."""
    loss: Literal["squared", "absolute", "huber", "smooth-l1"] = "squared"
    """Loss of one observation; rank-one and corollary take Huber loss in any case."""
    loss_threshold: float | None = None
    """Threshold delta of Huber and smooth-L1 loss; by default half the smallest
    observed value in size."""
    radius: float | None = None
    """Radius of the sphere in rank-one and corollary; by default half of what is
    allowed."""
    horizon: float | None = None
    """Time for which rank-one trajectories are compared; by default 25 times the time
    of growth at the sphere."""
    depths: tuple[int, ...] = (2, 3, 4)
    """Numbers of layers in matrix-growth."""
    tolerance: float | None = None
    """Replaces the tolerance of every claim."""
    seed: int = 2
    """Seed of the target, of what is observed and of the start. With others the
    premise of the corollary can fail."""

    def check(self) -> None:
        self._check_numbers()
        self._check_lists()
        self._check_sizes()

    def _check_numbers(self) -> None:
        require_order(self.order, _HIGHEST_ORDER)
        require_positive(
            mode_dim=self.mode_dim,
            target_rank=self.target_rank,
            observations=self.observations,
            components=self.components,
        )
        require_moderate(
            init_scale=self.init_scale,
            loss_threshold=self.loss_threshold,
            radius=self.radius,
            horizon=self.horizon,
            tolerance=self.tolerance,
        )
        require_not_negative(seed=self.seed)

    def _check_lists(self) -> None:
        require_mode_dims(self.mode_dims)
        if self.alphas is not None:
            require(
                len(set(self.alphas)) >= 3,
                f"`alphas` is {typed(self.alphas)}; a slope needs three or more.",
            )
            for alpha in self.alphas:
                require_moderate(alphas=alpha)
        require(
            len(self.depths) > 0,
            "`depths` is empty; give at least one number or leave it out.",
        )
        require(
            len(set(self.depths)) == len(self.depths),
            f"`depths` is {typed(self.depths)}; give each once.",
        )
        for depth in self.depths:
            require_positive(depths=depth)

    def _check_sizes(self) -> None:
        entries = math.prod(self.dims)
        require(
            entries <= LARGEST_ENTRIES,
            f"A tensor with mode dimensions {typed(self.dims)} has {entries} entries; "
            f"verify takes {LARGEST_ENTRIES} at most, so make it smaller.",
        )
        require(
            self.task != "completion" or self.observations <= entries,
            f"`observations` is {self.observations} but a tensor with mode dimensions "
            f"{typed(self.dims)} has {entries} entries; ask for fewer.",
        )

    def check_source(self, *, from_file: bool) -> None:
        """Refuse what was set and has no use for a problem from there."""
        unused = _OF_SYNTHETIC if from_file else _OF_FILES
        for name in self.model_fields_set.intersection(unused):
            where = "a problem from a file" if from_file else "a synthetic problem"
            raise InputError(
                f"`{name}` is {getattr(self, name)} but has no use for {where}; "
                "leave it out."
            )

    @property
    def dims(self) -> tuple[int, ...]:
        """Dimension of each mode."""
        return self.mode_dims or (self.mode_dim,) * self.order
