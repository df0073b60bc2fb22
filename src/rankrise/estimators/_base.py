"""What regressor and classifier share: tables in, levels, learned attributes."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import (
    assert_all_finite,
    check_is_fitted,
    validate_data,
)

from rankrise._errors import InputError
from rankrise.data import Levels
from rankrise.data._columns import is_data_frame, rectangular
from rankrise.estimators._fitting import FitSettings, Task, fit_models
from rankrise.estimators._product_sums import ProductSums

FloatArray = npt.NDArray[np.floating]


class TensorEstimator(BaseEstimator):  # type: ignore[misc]
    """Predictors that sum products of one factor a feature."""

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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _learn(self, X: Any, task: Task, labels: Any = None) -> None:
        """Learn levels and factors; sets all attributes but those of the target."""
        random = check_random_state(self.random_state)
        settings = FitSettings.of(self, int(random.randint(2**31 - 1)))
        levels = Levels.fit(X, levels=self.n_levels)
        data = levels.encode(X)
        train, validation = self._split(data.samples, labels, random)
        found = fit_models(data, task, settings, train=train, validation=validation)
        self.levels_ = levels
        self._products = ProductSums.from_tables(found.tables, data)
        self.n_iter_ = found.epochs
        self.loss_curve_ = found.loss_curve

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


def checked_samples(
    estimator: Any, X: Any, y: Any, *, numbers: bool = False
) -> tuple[Any, npt.NDArray[Any]]:
    """What an estimator is to learn from: an array or a DataFrame, and one target."""
    X = _with_text(X)
    if isinstance(y, list | tuple):
        y = rectangular("target", y)
    if is_data_frame(X):
        validate_data(estimator, X, y, skip_check_array=True)
        y = column_or_1d(y, dtype=np.float64 if numbers else None, warn=True)
        assert_all_finite(y, input_name="y")
        check_consistent_length(X, y)
        _refuse_empty(X)
    else:
        X, y = validate_data(estimator, X, y, dtype=None, y_numeric=numbers)
    return X, y


def checked_rows(estimator: Any, X: Any) -> Any:
    """What a fitted estimator is asked about, of the same columns."""
    check_is_fitted(estimator)
    X = _with_text(X)
    if not is_data_frame(X):
        return validate_data(estimator, X, reset=False, dtype=None)
    validate_data(estimator, X, reset=False, skip_check_array=True)
    _refuse_empty(X)
    return X


def _with_text(X: Any) -> Any:
    """Lists with text as objects, since numbers beside text would be made text."""
    if isinstance(X, list | tuple) and np.asarray(X, dtype=object).ndim == 2:
        array = np.asarray(X, dtype=object)
        if any(isinstance(each, str) for each in array.flat):
            return array
    return X


def _refuse_empty(X: Any) -> None:
    if 0 in X.shape:
        raise InputError(
            f"The table has shape {X.shape}; give at least one sample and one feature."
        )
