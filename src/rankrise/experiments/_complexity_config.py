"""Settings of `rankrise complexity`. Nothing here needs JAX, so that help is quick."""

import math
import re
from typing import Literal

from rankrise._defaults import INIT_STD
from rankrise.experiments._options import (
    ExperimentSettings,
    Precision,
    require,
    require_moderate,
    require_not_negative,
    require_positive,
    typed,
)

SECOND_ORDER, QUICK = "levenberg-marquardt", "quick"
_LARGEST_RANK = 1000
# Where none are asked for, the most that are fitted.
_ALL_RANKS = "1-15"


class ComplexityConfig(ExperimentSettings):
    """Predictors of rising CP rank, fitted to a data set and to random controls.

    With `--optimizer adam` the other defaults are the settings of Razin et al. (2021).
    """

    ranks: tuple[str, ...] | None = None
    """Ranks to fit: numbers and ranges such as 1-8; by default 1 to 4, and on to 8 and
    15 while the complexity is not settled."""
    controls: tuple[Literal["inputs", "labels", "none"], ...] = ("inputs", "labels")
    """Random controls: inputs uniform over each feature's values, or labels permuted;
    none asks for the data alone."""
    classes: tuple[str, ...] | None = None
    """Labels that are told from all others, each by models of its own; all by
    default."""
    error: tuple[float, ...] = ()
    """Errors to reach; for each, the smallest rank is given whose mean error over
    classes is at most that."""
    levels: int | None = None
    """How many values a pixel is rounded to, 2 by default; or the most intervals a
    table's column of numbers is put into, by default 2 to 16, more of them for more
    samples."""
    target: tuple[str, ...] = ()
    """Column of a table to predict, or several of values; the array of an .npz, y by
    default."""
    target_kind: Literal["classes", "values"] | None = None
    """Whether a table's classes are told apart or values predicted; by default numbers
    with a decimal point are values and all else is classes."""
    features: str | None = None
    """Array of an .npz with one row a sample, X by default."""
    drop: tuple[str, ...] = ()
    """Columns of a table to leave out."""
    categories: tuple[str, ...] = ()
    """Columns of a table whose numbers are only names, such as postal codes."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the starts and of the random controls."""
    epochs: int | None = None
    """Most passes through the samples, 10,000 by default and 700 with quick; with
    levenberg-marquardt its steps, each of which costs up to some twenty passes, 40 by
    default."""
    batch_size: int | None = None
    """Samples a step, 5000 by default; with quick 500, or a thirtieth of the samples;
    with levenberg-marquardt how many are held in memory at a time."""
    optimizer: str | None = None
    """By default quick for at least 50,000 training samples with at least 500 features,
    and levenberg-marquardt for smaller data. levenberg-marquardt takes steps on all
    samples. quick is adam in small batches, with a falling learning rate, from
    components of both signs. Any optimizer of optax that needs just a learning rate,
    such as adam, can be named."""
    learning_rate: float | None = None
    """Learning rate of an optimizer of optax; 0.0005 by default."""
    init_mean: float | None = None
    """Mean of the factors at the start: 1 by default; for levenberg-marquardt such
    that a model starts about as large as what it learns, and for quick as small
    components."""
    init_std: float = INIT_STD
    """Standard deviation of the factors at the start."""
    flat_epochs: int | None = None
    """A model is done when its mean loss over so many epochs is no lower than over as
    many before; by default each is trained for all epochs."""
    folds: int | None = None
    """Folds of cross-validation, in which every sample is tested once; 1 sets aside a
    share for testing instead. 5 by default for up to 10,000 samples, where the data
    set does not say which are for testing."""
    test_share: float | None = None
    """Share of the samples kept for testing, 0.2 by default; a share means one
    fold."""
    max_seconds: float | None = None
    """Time limit of each control, anew each time it is resumed; what it cuts off
    depends on the machine."""
    seed: int = 0
    """Seed of the shuffling and of the split."""
    precision: Precision = "float32"
    """Floating-point precision."""

    def check(self) -> None:
        require_positive(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            flat_epochs=self.flat_epochs,
            folds=self.folds,
            max_seconds=self.max_seconds,
        )
        require_moderate(init_std=self.init_std)
        require(
            self.init_mean is None or math.isfinite(self.init_mean),
            f"`init_mean` is {self.init_mean}; give a finite number.",
        )
        require(
            self.learning_rate is None
            or self.optimizer not in (None, SECOND_ORDER, QUICK),
            f"`learning_rate` has no use for {self.optimizer or 'the usual optimizer'},"
            " which chooses its steps; leave it out, or name an `optimizer` such as "
            "adam.",
        )
        require_not_negative(seed=self.seed)
        require(
            self.levels is None or 2 <= self.levels <= 256,
            f"`levels` is {self.levels}; it must lie between 2 and 256.",
        )
        require(
            "none" not in self.controls or len(self.controls) == 1,
            f"`controls` is {typed(self.controls)}; give none alone, or leave it out.",
        )
        for error in self.error:
            require_positive(error=error)
        require(
            self.test_share is None or 0 < self.test_share < 1,
            f"`test_share` is {self.test_share}; it must lie between 0 and 1.",
        )
        require(
            len(self.seeds) > 0 and len(set(self.seeds)) == len(self.seeds),
            f"`seeds` is {typed(self.seeds)}; give some, each once.",
        )
        for seed in self.seeds:
            require_not_negative(seeds=seed)
        require(
            self.classes is None or len(self.classes) > 0,
            "`classes` is empty; give at least one label or leave it out.",
        )
        _ = self.rank_list

    @property
    def control_list(self) -> tuple[Literal["data", "inputs", "labels"], ...]:
        """The data themselves, then their random controls."""
        controls = dict.fromkeys(self.controls)
        return ("data", *(each for each in controls if each != "none"))

    @property
    def rank_list(self) -> tuple[int, ...]:
        """The ranks, in order, each once."""
        found: set[int] = set()
        for part in (_ALL_RANKS,) if self.ranks is None else self.ranks:
            match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
            first = int(match[1]) if match else 0
            last = int(match[2] or match[1]) if match else 0
            require(
                all(1 <= rank <= _LARGEST_RANK for rank in (first, last)),
                f"`ranks` has {part}; give whole numbers from 1 to {_LARGEST_RANK} or "
                "ranges such as 1-8.",
            )
            require(
                first <= last,
                f"`ranks` has {part}, a range in reverse; give {last}-{first}.",
            )
            found.update(range(first, last + 1))
        require(len(found) > 0, "`ranks` is empty; give some such as 1-8.")
        return tuple(sorted(found))
