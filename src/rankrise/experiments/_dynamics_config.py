"""Settings of `rankrise dynamics`. Nothing here needs JAX, so that help is quick."""

import math
from typing import Literal

from rankrise.experiments._options import (
    ExperimentSettings,
    KeptComponents,
    LossName,
    Precision,
    require,
    require_bounded,
    require_init_scales,
    require_kept_components,
    require_mode_dims,
    require_moderate,
    require_not_negative,
    require_order,
    require_positive,
    typed,
)

_HIGHEST_ORDER = 32
_MOST_ENTRIES = 2**63
# Settings of solvers that take steps.
_OF_STEPS = ("end_time", "patience", "save_every", "saves")


class DynamicsConfig(ExperimentSettings):
    """A synthetic target, what is observed of it, and the runs that recover it.

    The defaults are the settings of Razin et al. (2021) for dynamics: order 4, mode
    dimension 10, a target of CP rank 5 and Frobenius norm 1, 2000 observed entries,
    1000 components, three init scales.
    """

    order: int = 4
    """How many modes the tensor has."""
    mode_dim: int = 10
    """Dimension of every mode."""
    mode_dims: tuple[int, ...] | None = None
    """Dimension of each mode, where they differ; replaces order and mode dimension."""
    target_rank: int = 5
    """CP rank of the target."""
    target_norm: float = 1.0
    """Frobenius norm of the target."""
    symmetric: bool = False
    """Give the target the same factor matrix in every mode."""
    noise_level: float = 0.0
    """Standard deviation of the noise over the root mean square of what is observed."""
    task: Literal["completion", "sensing", "sensing-rank-k"] = "completion"
    """What is observed: entries, or inner products with dense Gaussian measurement
    tensors, or with measurement tensors of CP rank k."""
    measurement_rank: int = 1
    """CP rank of each measurement tensor of sensing-rank-k."""
    observations: int | None = None
    """How many observations; 2000 by default, or half the entries of a tensor where
    that is less."""
    gaps: Literal["entries", "fibers"] = "entries"
    """Whether single entries are missing at random in completion, or whole fibers of
    the first mode."""
    factorization: Literal["cp", "matrix"] = "cp"
    """CP, or for order 2 a deep matrix factorization."""
    components: int | None = None
    """Components of the CP factorization; by default enough for any tensor."""
    depth: int = 3
    """Layers of the deep matrix factorization."""
    start: Literal["gaussian", "balanced"] = "gaussian"
    """Independent Gaussian parameters, or the same balanced over modes."""
    init_scales: tuple[float, ...] = (0.05, 0.01, 0.005)
    """Standard deviations of the start's parameters; one run for each."""
    init_mean: float = 0.0
    """Mean of the start's parameters."""
    start_seeds: tuple[int, ...] | None = None
    """Seeds of the start, each run at every init scale; the seed by default."""
    seed: int = 0
    """Seed of the target, of what is observed and of the start."""
    loss: LossName = "squared"
    """Loss of one observation; the objective is its mean."""
    loss_threshold: float | None = None
    """Threshold delta of Huber and smooth-L1 loss; by default half the root mean
    square of the observed values, so that it matters."""
    solver: str = "adaptive"
    """adaptive (the paper's), gradient-descent, an optax optimizer such as optax.adam,
    flow (gradient flow), or limit (the flow as the init scale goes to zero)."""
    learning_rate: float | None = None
    """Learning rate of gradient descent; 0.01 by default, 0.001 for an optax
    optimizer."""
    batch_size: int | None = None
    """Observations per step of gradient descent; all of them by default."""
    weight_decay: float | None = None
    """Weight decay of the adaptive rule: this times half the squared norm of the
    parameters is added to the objective; none by default."""
    rtol: float | None = None
    """Error that the flow may make in a step, relative to a component's size; 0.003 by
    default."""
    steps: int | None = None
    """Step limit of every run; 40000 by default, 10000 for the flow. With the limit,
    the most components it may learn; all by default."""
    end_time: float | None = None
    """Time limit on the clock of gradient flow (the sum of learning rates)."""
    loss_tolerance: float | None = None
    """A run has converged when its loss stays below this for the patience; by default
    1e-4 of the loss at zero (1% of the observed norm, for squared loss)."""
    patience: int | None = None
    """Steps in a row the loss must stay below its tolerance; 100 by default, 1 for
    the flow, whose loss only falls."""
    max_seconds: float | None = None
    """Time limit, anew each time a run is resumed; what it cuts off depends on
    the machine."""
    save_every: int | None = None
    """Steps between two measurements; 25 by default, 1 for the flow."""
    saves: int | None = None
    """Number of measurements, spaced evenly or logarithmically (in time, if there is
    an end time); replaces save-every."""
    save_spacing: Literal["linear", "logarithmic"] = "linear"
    """Spacing of the measurements where their number is given."""
    kept_components: KeptComponents = 10
    """How many of the largest components the trajectory keeps, or all."""
    precision: Precision = "float32"
    """Floating-point precision of the run."""

    def check(self) -> None:
        self._check_numbers()
        self._check_lists()
        self._check_combinations()
        self._check_solver()

    def _check_numbers(self) -> None:
        require_order(self.order, _HIGHEST_ORDER)
        require_positive(
            mode_dim=self.mode_dim,
            target_rank=self.target_rank,
            measurement_rank=self.measurement_rank,
            observations=self.observations,
            components=self.components,
            depth=self.depth,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            rtol=self.rtol,
            steps=self.steps,
            end_time=self.end_time,
            patience=self.patience,
            max_seconds=self.max_seconds,
            save_every=self.save_every,
            saves=self.saves,
        )
        require_kept_components(self.kept_components)
        require_moderate(
            target_norm=self.target_norm, loss_threshold=self.loss_threshold
        )
        require_bounded(init_mean=self.init_mean)
        require_not_negative(
            seed=self.seed,
            noise_level=self.noise_level,
            loss_tolerance=self.loss_tolerance,
            weight_decay=self.weight_decay,
        )

    def _check_lists(self) -> None:
        require_mode_dims(self.mode_dims)
        require_init_scales(self.init_scales)
        require(
            self.start_seeds is None or len(self.start_seeds) > 0,
            "`start_seeds` is empty; give at least one seed or leave it out.",
        )
        for seed in self.run_seeds:
            require_not_negative(start_seeds=seed)

    def _check_combinations(self) -> None:
        require(
            self.factorization == "cp" or len(self.dims) == 2,
            f"`factorization` is matrix, which is for order 2, not {len(self.dims)}; "
            "give `order` 2.",
        )
        entries = math.prod(self.dims)
        require(
            entries < _MOST_ENTRIES,
            f"A tensor with mode dimensions {typed(self.dims)} has more entries than "
            "64 bits can count; make it smaller.",
        )
        require(
            self.task != "completion" or self.observation_count <= entries,
            f"`observations` is {self.observations} but a tensor with mode dimensions "
            f"{typed(self.dims)} has {entries} entries; ask for fewer.",
        )
        require(
            self.loss != "logistic",
            "`loss` is logistic, which is for labels 0 and 1, but a synthetic target "
            "has real values; choose another loss.",
        )

    def _check_solver(self) -> None:
        unused = {
            "adaptive": ("rtol",),
            "flow": ("learning_rate", "weight_decay", "batch_size"),
            "limit": (
                *_OF_STEPS,
                "learning_rate",
                "weight_decay",
                "batch_size",
                "rtol",
            ),
        }.get(self.solver, ("weight_decay", "rtol"))
        for name in unused:
            require(
                getattr(self, name) is None,
                f"`{name}` is {getattr(self, name)} but the solver {self.solver} has "
                "no use for it; leave it out.",
            )
        scales = type(self).model_fields["init_scales"].default
        require(
            self.solver != "limit" or self.init_scales == scales,
            "`init_scales` has no use for the solver limit, where the init scale goes "
            "to zero; leave it out.",
        )

    @property
    def dims(self) -> tuple[int, ...]:
        """Dimension of each mode."""
        return self.mode_dims or (self.mode_dim,) * self.order

    @property
    def observation_count(self) -> int:
        """How many observations."""
        if self.observations is not None:
            return self.observations
        return min(2000, -(-math.prod(self.dims) // 2))

    @property
    def clock(self) -> Literal["step", "time", "scaled time"]:
        """What the runs are plotted against."""
        clocks: dict[str, Literal["time", "scaled time"]]
        clocks = {"flow": "time", "limit": "scaled time"}
        return clocks.get(self.solver, "step")

    @property
    def run_seeds(self) -> tuple[int, ...]:
        """Seeds of the start."""
        return self.start_seeds or (self.seed,)
