"""What regressor and classifier share: tables in, levels, learned attributes."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from rankrise._errors import InputError
from rankrise.estimators._checked_tables import checked_rows
from rankrise.estimators._fitting import Course, FitSettings, Task, fit_models
from rankrise.estimators._product_sums import ProductSums
from rankrise.tables import CategoricalData, Levels

FloatArray = npt.NDArray[np.floating]


class TensorEstimator(BaseEstimator):  # type: ignore[misc]
    """Predictors that sum products of one factor a feature."""

    # Whether factors have an axis for models.
    _has_models = False

    def __init__(
        self,
        *,
        n_components: int = 2,
        n_levels: int = 8,
        init_mean: float | None = None,
        init_std: float = 1e-3,
        optimizer: Any = "levenberg-marquardt",
        max_iter: int | None = None,
        batch_size: int | None = None,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_levels = n_levels
        self.init_mean = init_mean
        self.init_std = init_std
        self.optimizer = optimizer
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _learn(
        self,
        X: Any,
        task: Task,
        labels: Any = None,
        *,
        start: Sequence[npt.ArrayLike] | None,
        batches: Iterable[npt.ArrayLike] | None,
    ) -> None:
        """Learn levels and factors; sets all attributes but those of the target."""
        random = check_random_state(self.random_state)
        settings = FitSettings.of(self, int(random.randint(2**31 - 1)))
        levels = Levels.fit(X, levels=self.n_levels)
        data = levels.encode(X)
        course = Course(
            start if start is None else self._checked_start(start, data, task),
            batches if batches is None else self._checked_batches(batches),
        )
        train, validation = self._split(data.samples, labels, random)
        found = fit_models(
            data,
            task,
            settings,
            train=train,
            validation=validation,
            course=course,
            progress=bool(self.verbose),
        )
        self.levels_ = levels
        self._products = ProductSums.from_tables(found.tables, data)
        self.n_iter_ = found.epochs
        self.loss_curve_ = found.loss_curve

    def _checked_start(
        self, start: Sequence[npt.ArrayLike], data: CategoricalData, task: Task
    ) -> list[FloatArray]:
        factors = [np.asarray(factor) for factor in start]
        if len(factors) != data.features:
            raise InputError(
                f"start has {len(factors)} arrays and X {data.features} features; give "
                "one for each feature, as in factors_."
            )
        models = task.targets.shape[1]
        for number, (factor, levels) in enumerate(
            zip(factors, data.cardinalities, strict=True)
        ):
            wanted: tuple[int, ...] = (levels, self.n_components)
            axes = "level, component"
            if self._has_models:
                wanted, axes = (models, *wanted), f"model, {axes}"
            numbers = factor.dtype.kind in "fiu" and np.isfinite(factor).all()
            if factor.shape != wanted or not numbers:
                raise InputError(
                    f"start of feature {number} is an array of {factor.dtype} of shape "
                    f"{factor.shape}; give finite numbers of shape {wanted} ({axes})."
                )
        return [
            factor.reshape(models, *factor.shape[-2:]).astype(np.float64)
            for factor in factors
        ]

    def _checked_batches(
        self, batches: Iterable[npt.ArrayLike]
    ) -> Iterable[npt.ArrayLike]:
        if self.early_stopping:
            raise InputError(
                "batches name rows of X, of which early stopping sets some aside; give "
                "early_stopping=False with them."
            )
        if not isinstance(batches, Iterable):
            raise InputError(
                f"batches is {batches!r}; give an iterable of index arrays, one a step."
            )
        return batches

    def _split(
        self, samples: int, labels: Any, random: np.random.RandomState
    ) -> tuple[Any, Any]:
        rows = np.arange(samples)
        if not self.early_stopping:
            return rows, None
        if not 0 < self.validation_fraction < 1:
            raise InputError(
                f"validation_fraction is {self.validation_fraction}; give a share "
                "between 0 and 1."
            )
        if labels is not None:
            counts = np.unique(labels, return_counts=True)[1]
            held_out = int(np.ceil(self.validation_fraction * samples))
            least = min(held_out, samples - held_out)
            # Else there is no split that has samples of every class on both sides.
            labels = labels if counts.min() > 1 and least >= len(counts) else None
        return tuple(
            train_test_split(
                rows,
                test_size=self.validation_fraction,
                random_state=random,
                stratify=labels,
            )
        )

    def _outputs(self, X: Any) -> FloatArray:
        """What the models say, one column a task."""
        X = checked_rows(self, X)
        return self._products.predictions(self.levels_.encode(X).indices)
