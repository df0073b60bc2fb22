"""How the models of an ensemble are trained, and when each of them is done."""

import functools as ft
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import optax

from rankrise._checks import check_whole
from rankrise._defaults import (
    BATCH_SIZE,
    EPOCHS,
    INIT_STD,
    LEARNING_RATE,
    QUICK_EPOCHS,
    SECOND_ORDER_STEPS,
)
from rankrise._errors import InputError
from rankrise.ensembles._ensemble import Member
from rankrise.ensembles._levenberg_marquardt import LevenbergMarquardt
from rankrise.losses import AbstractLoss, SquaredLoss
from rankrise.tables import CategoricalData

# Settings of `quick_training`. A step changes a component by up to e to the power of
# the learning rate times the number of features: by 2.2 times here; 4.8 let components
# vanish.
_QUICK_STEP, _QUICK_LEARNING_RATE, _QUICK_BATCH, _LEAST_STEPS = 0.784, 1e-2, 500, 30
# A component's size at the start.
_QUICK_SIZE = 1e-3
# From so many samples and features on it fits more closely than damped steps do.
_QUICK_SAMPLES, _QUICK_FEATURES = 50_000, 500

FloatArray = npt.NDArray[np.floating]
Start = Sequence[npt.ArrayLike] | Callable[[Member], npt.ArrayLike]


@dataclass(frozen=True, kw_only=True)
class Training:
    """Minibatch training; the defaults are those of Razin et al. (2021).

    Attributes
    ----------
    optimizer
        Any of optax whose updates go entry by entry; by default Adam with learning
        rate 5e-4. `LevenbergMarquardt` takes steps on all samples, each of which counts
        as an epoch though it costs up to `inner_passes` of them; the losses it records
        are those after the step.
    epochs
        Most passes through the samples.
    batch_size
        Samples a step, reshuffled every epoch; the last of an epoch may be smaller.
        Where steps are on all samples, how many are held in memory at a time.
    init_mean, init_std
        Mean and standard deviation of the factors at the start. The mean is 1 by
        default, as in the paper; for `LevenbergMarquardt` it is chosen for each model
        so that the sum of its components is about as large as what it learns, which
        spares the plateau at which all components are too large, and alike.
    mixed_signs
        Whether a quarter of a model's components (rounded down) start with a negative
        product. From components that are all positive a model rarely finds one that is
        not.
    flat_epochs, flat_share
        A model is done when its mean training loss over so many epochs is not lower
        than over as many before by this share. Models rest on a plateau first, so
        these are hundreds; None trains to the last epoch.
    measure_every
        Epochs between two measurements of the test loss, at which it is also asked
        whether a model is done.
    largest_loss
        Cap of a test sample's loss.
    seed
        Seed of the shuffling.
    start
        Where models start from, instead of drawing it: one array of factors (value,
        mode, component) a model, as `EnsembleFit.tables` has them, or a function that
        gives the array of a `Member`. Values are counted as they are coded.
    batches
        Rows of each step's samples, instead of shuffling: an iterable of index arrays,
        gone through once; an epoch takes as many of them as batches of `batch_size`
        make the samples. None is longer than that; rows may come twice or not at all.
    """

    optimizer: optax.GradientTransformation | LevenbergMarquardt | None = None
    loss_function: AbstractLoss = field(default_factory=SquaredLoss)
    epochs: int = EPOCHS
    batch_size: int = BATCH_SIZE
    init_mean: float | None = None
    init_std: float = INIT_STD
    mixed_signs: bool = False
    flat_epochs: int | None = None
    flat_share: float = 1e-3
    measure_every: int = 10
    largest_loss: float = math.inf
    seed: int = 0
    start: Start | None = field(default=None, compare=False)
    batches: Iterable[npt.ArrayLike] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "measure_every", "flat_epochs"):
            number = getattr(self, name)
            if number is not None:
                check_whole(name, number, 1)
        check_whole("seed", self.seed, 0)
        for name in ("init_mean", "init_std", "flat_share"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise InputError(f"{name} is {number}; give a finite number.")
        if self.init_std < 0:
            raise InputError(f"init_std is {self.init_std}; it must be at least 0.")
        if not self.largest_loss > 0:
            raise InputError(
                f"largest_loss is {self.largest_loss}; it must be positive."
            )

        if self.batches is not None and isinstance(self.method, LevenbergMarquardt):
            raise InputError(
                "LevenbergMarquardt takes its steps on all samples, so there are no "
                "batches to give; choose an optimizer of optax, such as optax.adam."
            )

    @property
    def method(self) -> optax.GradientTransformation | LevenbergMarquardt:
        """The optimizer that is used."""
        return _default_optimizer() if self.optimizer is None else self.optimizer

    def start_mean(self, targets: FloatArray, components: int, modes: int) -> float:
        """Mean of the factors a model with these targets starts from."""
        if self.init_mean is not None:
            return self.init_mean
        largest = float(np.max(np.abs(targets), initial=0.0))
        if largest == 0 or not isinstance(self.method, LevenbergMarquardt):
            return 1.0
        # Squares of the targets themselves may overflow.
        size = largest * math.sqrt(float(np.mean((targets / largest) ** 2)))
        return float((size / components) ** (1 / modes))

    def is_flat(self, losses: FloatArray) -> bool:
        """Whether a model with these mean losses, epoch by epoch, is done."""
        if self.flat_epochs is None or len(losses) < 2 * self.flat_epochs:
            return False
        late = np.mean(losses[-self.flat_epochs :])
        early = np.mean(losses[-2 * self.flat_epochs : -self.flat_epochs])
        return bool(late >= (1 - self.flat_share) * early)


def suits_quick_training(data: CategoricalData) -> bool:
    """Whether data are as large as MNIST, which `quick_training` fits best."""
    return data.samples >= _QUICK_SAMPLES and data.features >= _QUICK_FEATURES


def usual_training(data: CategoricalData) -> Training:
    """What rank curves are fitted by if nothing else is asked for.

    `quick_training` from 50,000 samples and 500 features on, and else
    `LevenbergMarquardt`, which fits smaller tables better and sooner.
    """
    if suits_quick_training(data):
        return quick_training(data)
    return Training(optimizer=LevenbergMarquardt(), epochs=SECOND_ORDER_STEPS)


def quick_training(
    data: CategoricalData,
    *,
    epochs: int = QUICK_EPOCHS,
    batch_size: int | None = None,
    seed: int = 0,
) -> Training:
    """Adam in small batches, from small components of both signs.

    For tables as large as MNIST: there 700 passes reach the training error of 10,000
    by the paper's `Training` (docs/complexity.md says how nearly), and test errors are
    lower. Steps become shorter evenly, down to nothing with the last one.

    Parameters
    ----------
    data
        What it is for: the learning rate falls with the number of features.
    batch_size
        By default 500 samples, or a thirtieth of the data if that is fewer.

    Examples
    --------
    >>> import rankrise as rr
    >>> digits = rr.tables.load_labelled_set("digits").train
    >>> rr.ensembles.quick_training(digits).batch_size
    48
    """
    if not isinstance(data, CategoricalData):
        raise InputError(
            f"The data are {type(data).__name__}; give CategoricalData, such as "
            "rankrise.tables.labelled_table(X, y, test=(X, y)).train."
        )
    check_whole("epochs", epochs, 1)
    if batch_size is None:
        batch_size = max(1, min(_QUICK_BATCH, -(-data.samples // _LEAST_STEPS)))
    check_whole("batch_size", batch_size, 1)
    batch_size = int(batch_size)
    return Training(
        optimizer=_quick_optimizer(
            min(_QUICK_STEP / data.features, _QUICK_LEARNING_RATE),
            epochs * -(-data.samples // batch_size),
        ),
        epochs=epochs,
        batch_size=batch_size,
        init_mean=_QUICK_SIZE ** (1 / data.features),
        mixed_signs=True,
        seed=seed,
    )


@ft.cache
def _quick_optimizer(learning_rate: float, steps: int) -> optax.GradientTransformation:
    schedule = optax.linear_schedule(learning_rate, 0.0, steps)
    return optax.adam(schedule, b2=0.99)


@ft.cache
def _default_optimizer() -> optax.GradientTransformation:
    # One object, for each new one would be compiled for anew.
    return optax.adam(LEARNING_RATE)
