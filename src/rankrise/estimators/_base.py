"""What regressor and classifier share: tables in, levels, learned attributes."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from rankrise._errors import InputError
from rankrise.estimators._checked_tables import checked_rows
from rankrise.estimators._fitting import FitSettings, Task, fit_models
from rankrise.estimators._product_sums import ProductSums
from rankrise.tables import Levels

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

    def _learn(self, X: Any, task: Task, labels: Any = None) -> None:
        """Learn levels and factors; sets all attributes but those of the target."""
        random = check_random_state(self.random_state)
        settings = FitSettings.of(self, int(random.randint(2**31 - 1)))
        levels = Levels.fit(X, levels=self.n_levels)
        data = levels.encode(X)
        train, validation = self._split(data.samples, labels, random)
        found = fit_models(
            data,
            task,
            settings,
            train=train,
            validation=validation,
            progress=bool(self.verbose),
        )
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
