"""Settings of a completion: of the call, the command and the estimator alike."""

import itertools
import math
from enum import StrEnum
from typing import Any, Literal, get_args

from pydantic import field_validator

from rankrise._errors import InputError
from rankrise._settings import Settings
from rankrise.completion._path import PENALTIES
from rankrise.losses import AbstractLoss, loss_named

Kind = Literal["paper", "flow", "limit"]
SingleLossName = Literal[
    "squared",
    "absolute",
    "huber",
    "smooth-l1",
    "logistic",
    "poisson",
    "poisson-identity",
]
LossName = Literal[SingleLossName, "counts"]

# What `counts` tries.
_COUNTED = "poisson", "poisson-identity"
# Options of a gradient method that only some kinds have.
_STARTED: tuple[Kind, ...] = ("paper", "flow")
_KINDS: dict[str, tuple[Kind, ...]] = {
    **dict.fromkeys(("init_scales", "steps", "flat_steps", "save_every"), _STARTED),
    **dict.fromkeys(("solver", "learning_rate", "batch_size"), ("paper",)),
}
# Parts are numbered by one byte.
_MOST_MODELS = 250
# Models by default: with many observations one tells little that another does not.
_MODELS = ((20_000, 8), (200_000, 5), (2_000_000, 2))


class Centering(StrEnum):
    """What is taken off the values before components are learned, and put back."""

    MEAN = "mean"
    """The mean; of losses that outliers don't move, the median."""
    NONE = "none"
    """Nothing."""
    MAIN_EFFECTS = "main effects"
    """The mean and a number for every slice of every mode."""
    EFFECTS_ONLY = "main effects without a mean"
    """A number for every slice of every mode."""

    @classmethod
    def of(cls, *, has_offset: bool, has_effects: bool) -> "Centering":
        """The one that has these."""
        wanted = has_offset, has_effects
        return next(c for c in cls if (c.has_offset, c.has_effects) == wanted)

    @property
    def has_offset(self) -> bool:
        """Whether the mean is taken off."""
        return self in (Centering.MEAN, Centering.MAIN_EFFECTS)

    @property
    def has_effects(self) -> bool:
        """Whether a number for every slice is taken off."""
        return self in (Centering.MAIN_EFFECTS, Centering.EFFECTS_ONLY)


class GradientMethod(Settings):
    """The paper's method: components start near zero and rise one after another."""

    kind: Kind = "paper"
    """paper: gradient descent. flow: gradient flow with error control. limit: gradient
    flow as the init scale goes to zero."""
    starts: int = 1
    """Starts at each init scale; the run with the smallest held-out error is kept."""
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
    """Steps without a new smallest held-out error before a run stops. Runs rest on
    plateaus between two rises, so descent needs thousands."""
    save_every: int = 20
    """Steps between two measurements of the held-out error."""
    kept_components: int = 10
    """How many of the largest components the trajectory keeps."""
    precision: Literal["float32", "float64"] = "float32"
    """Floating-point precision of a gradient method."""

    def check(self) -> None:
        self.require_positive(
            "starts", "components", "learning_rate", "batch_size", "steps",
            "flat_steps", "save_every", "kept_components",
        )  # fmt: skip
        if self.solver in ("flow", "limit"):
            raise InputError(
                f"`solver` {self.solver} is for the dynamics; here it is a `method`."
            )
        if not self.init_scales:
            raise InputError("`init_scales` is empty; give at least one number.")
        for scale in self.init_scales:
            self.require_moderate("init_scales", scale)
        for name, kinds in _KINDS.items():
            if self.kind not in kinds and name in self.changed:
                raise InputError(
                    f"`{name}` is for `method` {' or '.join(kinds)}, not {self.kind}; "
                    "leave it out or choose another method."
                )


class CompletionSettings(Settings):
    """How a partly observed tensor is completed; the defaults ask for no rank.

    Examples
    --------
    >>> import rankrise as rr
    >>> rr.CompletionSettings(models=4, loss="huber").loss
    'huber'
    """

    method: Literal["alternating"] | GradientMethod = "alternating"
    """alternating: components enter one by one on a path of falling penalties, by
    alternating least squares. paper: gradient descent from near zero. flow: the same as
    gradient flow. limit: gradient flow as the init scale goes to zero."""
    models: int | None = None
    """Models whose mean completes the tensor, each with another part held out; by
    default 8; 5 above 20,000 observations, 2 above 200,000, 1 above two million."""
    heldout: Literal["auto", "random", "fiber"] = "auto"
    """Entries to hold out: in the shape of the gaps (auto: single entries, whole
    fibers, runs, blocks, or some of each), single entries (random), or whole fibers
    (fiber)."""
    heldout_share: float | None = None
    """Share of the observed entries held out from each model. By default each entry is
    held out once, but at most a fifth by a model; a tenth for a single model."""
    loss: LossName | AbstractLoss = "squared"
    """Loss of one entry: huber for outliers, logistic for labels 0 and 1. For counts:
    poisson fits logarithms of rates, so components multiply; poisson-identity fits
    rates, so non-negative components add; counts fits both and keeps the one with the
    larger held-out likelihood."""
    loss_threshold: float = 1.0
    """Threshold delta of Huber and smooth-L1 loss, in deviations of the centered
    values: by their median (alternating), or root mean square."""
    center: bool | None = None
    """Fit the values less their mean; the mean is added back to the result. By default
    held-out errors decide (alternating), or the mean is taken off."""
    max_components: int = 64
    """Upper limit on the number of components (alternating, limit). The rank is found,
    not set by this limit."""
    max_seconds: float | None = None
    """Time limit in seconds from the start, loading included; loading and the step
    under way are always finished. The result so far is returned; it depends on the
    machine."""
    smooth: bool | None = None
    """Smooth factors along each mode, as strongly as the data support; by default
    smooth or not is chosen by held-out errors."""
    non_negative: bool = False
    """Constrain factors to be non-negative; turns centering off."""
    main_effects: bool | None = None
    """Fit one number for every slice first (a row effect, a day effect); it is added
    back to the result. By default held-out errors decide, unless center is given."""
    penalties: tuple[float, ...] = PENALTIES
    """Penalties of the path, in falling order, in units of one observation's weight."""
    seed: int = 0
    """Seed of the held-out entries and of the first model."""

    @field_validator("method", mode="before")
    @classmethod
    def _method(cls, given: Any) -> Any:
        """A gradient method by its name has its default options."""
        if not isinstance(given, str) or given == "alternating":
            return given
        if given not in get_args(Kind):
            raise InputError(
                f"`method` is {given!r}; choose 'alternating', 'paper', 'flow' or "
                "'limit'."
            )
        return {"kind": given}

    def check(self) -> None:
        self.require_positive("models", "max_components", "max_seconds")
        self.require_not_negative("seed")
        if self.models is not None and self.models > _MOST_MODELS:
            raise InputError(
                f"`models` is {self.models}; it can be {_MOST_MODELS} at most."
            )
        self.require_moderate("loss_threshold", self.loss_threshold)
        share = self.heldout_share
        if share is not None and not 0 < share < 1:
            raise InputError(
                f"`heldout_share` is {share}; it is a share between 0 and 1."
            )
        falling = all(a > b for a, b in itertools.pairwise(self.penalties))
        if not self.penalties or not falling or not 0 < self.penalties[-1] < math.inf:
            raise InputError(
                f"`penalties` are {self.penalties}; give positive numbers that fall."
            )
        loss, gradient = self.loss_function, self.gradient
        if gradient is None:
            if not loss.has_majorizer:
                raise InputError(
                    f"{type(loss).__name__} has no `majorizer`, which alternating "
                    "least squares need; give it one or `slopes`, or choose another "
                    "loss or method."
                )
            return
        for name in ("models", "smooth", "non_negative", "main_effects", "penalties"):
            if name in self.changed:
                raise InputError(
                    f"`{name}` is for `method` alternating, not {gradient.kind}; leave "
                    "it out or choose another method."
                )
        if loss.is_linked:
            raise InputError(
                f"`loss` {self.loss} is for `method` alternating, not {gradient.kind}; "
                "choose another loss or method."
            )
        if gradient.kind == "limit" and loss.smoothness == 0:
            raise InputError(
                f"`loss` {self.loss} has a kink where it fits, so `method` limit "
                "cannot take it; choose huber with a small `loss_threshold`."
            )

    @property
    def gradient(self) -> GradientMethod | None:
        """The gradient method, if it is one."""
        return None if isinstance(self.method, str) else self.method

    @property
    def centerings(self) -> list[Centering]:
        """What may be taken off, the usual first; held-out errors decide."""
        center = self.center is not False and not self.non_negative
        usual, more = (
            Centering.of(has_offset=center, has_effects=effects)
            for effects in (False, True)
        )
        if self.main_effects is not None:
            return [more if self.main_effects else usual]
        is_open = self.center is None and not self.non_negative
        is_open = is_open and not self.loss_function.is_linked
        return [usual, Centering.NONE, more] if is_open else [usual]

    @property
    def loss_function(self) -> AbstractLoss:
        """The loss itself, where it may be given by name; the first of several."""
        return next(iter(self.loss_functions.values()))

    @property
    def loss_functions(self) -> dict[str, AbstractLoss]:
        """Losses by name; the held-out likelihood decides between several."""
        if isinstance(self.loss, AbstractLoss):
            return {type(self.loss).__name__: self.loss}
        names = _COUNTED if self.loss == "counts" else (self.loss,)
        return {name: loss_named(name, self.loss_threshold) for name in names}

    def models_for(self, observed: int) -> int:
        """How many models so many observations are completed by."""
        if self.models is not None:
            return self.models
        return next((count for most, count in _MODELS if observed <= most), 1)
