"""Classification, one against all, by sums of products."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from rankrise._errors import InputError
from rankrise.estimators._base import FloatArray, TensorEstimator
from rankrise.estimators._checked_tables import checked_samples
from rankrise.estimators._fitting import START, Task
from rankrise.losses import LogisticLoss, SquaredLoss


def _has_probabilities(estimator: Any) -> bool:
    return estimator.loss == "logistic"


class TensorClassifier(ClassifierMixin, TensorEstimator):  # type: ignore[misc]
    r"""Classification, one against all, by tensors of low CP rank.

    For every class (of two, only for the second) a model
    $\sum_{r=1}^R \prod_n W_{nr}[x_n]$ over the levels of the features learns 1 for its
    samples and 0 for all others (Razin et al. 2021, Section 5), or with the logistic
    loss their log-odds. All models are trained together.

    Parameters
    ----------
    loss
        ``"squared"``, or ``"logistic"``, with which there are probabilities.
    n_components, n_levels, init_mean, init_std, optimizer, max_iter, batch_size
        As for `TensorRegressor`.
    early_stopping, validation_fraction, random_state, verbose
        As for `TensorRegressor`.

    Attributes
    ----------
    classes_
        In sorted order.
    rank_
        For every model, how many components have a norm above 1e-3 of the largest.
    component_norms_
        One row a model, falling: root mean square of each component over all
        combinations of levels.
    factors_
        For every feature: model, level, component.
    intercept_
        What is added to all models' sums.
    n_iter_
        Epochs that led to the factors: fewer than `max_iter` where early stopping
        took an earlier one, or training diverged.
    loss_curve_
        Mean loss over models of each of them.
    levels_
        How columns become levels: `levels_.encode(X).indices` are those of `factors_`.
    n_features_in_, feature_names_in_
        Features of the samples learned from.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> X = np.random.default_rng(0).choice(["s", "m", "l"], (200, 3))
    >>> y = np.where(X[:, 0] == "s", "small", "other")
    >>> model = rr.TensorClassifier(random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _has_models = True

    def __init__(
        self,
        *,
        loss: Literal["squared", "logistic"] = "squared",
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
        super().__init__(
            n_components=n_components,
            n_levels=n_levels,
            init_mean=init_mean,
            init_std=init_std,
            optimizer=optimizer,
            max_iter=max_iter,
            batch_size=batch_size,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            random_state=random_state,
        )
        self.loss = loss

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        start: Sequence[npt.ArrayLike] | None = None,
        batches: Iterable[npt.ArrayLike] | None = None,
    ) -> "TensorClassifier":
        """Learn from samples of two or more classes.

        Parameters
        ----------
        X
            One row a sample: an array or a pandas DataFrame of numbers, text and
            categories.
        y
            One class a sample.
        start
            Factors to start from, in the form of `factors_`, such as another fit's, in
            place of those drawn from `init_mean` and `init_std`.
        batches
            Rows of `X` that each step takes, in place of shuffling: an iterable of
            index arrays, gone through once, as many an epoch as batches of `batch_size`
            make the samples. It takes `early_stopping=False` and an `optimizer` other
            than Levenberg-Marquardt.

        Warns
        -----
        ConvergenceWarning
            Where training diverged.
        """
        if self.loss not in ("squared", "logistic"):
            raise InputError(f"loss is {self.loss!r}; give 'squared' or 'logistic'.")
        X, y = checked_samples(self, X, y)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise InputError(
                f"All samples are of one class, {classes[0]}; give samples of two or "
                "more."
            )
        # Of two classes the second's model says all.
        modelled = np.arange(len(classes)) if len(classes) > 2 else np.array([1])
        targets = (labels[:, None] == modelled).astype(np.float64)
        share = float(np.mean(targets))
        if self.loss == "squared":
            task, intercept = Task(targets, SquaredLoss(), share), 0.0
        else:
            # The start says the log-odds of a class's share, from positive factors.
            intercept = float(np.log(share / (1 - share))) - START
            task = Task(targets, LogisticLoss(), START, offset=-intercept)
        self._learn(X, task, labels, start=start, batches=batches)
        self.classes_ = classes
        self.intercept_ = intercept
        self.factors_ = self._products.factors
        self.component_norms_ = self._products.component_norms
        self.rank_ = self._products.ranks
        return self

    def decision_function(self, X: Any) -> FloatArray:
        """What the models say, one column a class; of two, above 0 for the second."""
        # First, since it is what refuses an estimator that has learned nothing.
        sums = self._outputs(X)
        outputs = sums + self.intercept_
        if len(self.classes_) > 2:
            return outputs
        return outputs[:, 0] - (0.5 if self.loss == "squared" else 0.0)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The class whose model says the most."""
        scores = self.decision_function(X)
        places = scores > 0 if scores.ndim == 1 else np.argmax(scores, axis=1)
        return self.classes_[np.asarray(places, np.int64)]

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> FloatArray:
        """Probability of every class, with the logistic loss only.

        With more than two classes the models' probabilities are divided by their sum.
        """
        scores = self.decision_function(X)
        logarithms = -np.logaddexp(0, -scores)
        if scores.ndim == 1:
            return np.exp(np.stack([-np.logaddexp(0, scores), logarithms], axis=1))
        # All may underflow, and would be 0 / 0.
        sums = np.logaddexp.reduce(logarithms, axis=1, keepdims=True)
        return np.exp(logarithms - sums)
