"""Regression by a sum of products."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin

from rankrise.estimators._base import FloatArray, TensorEstimator
from rankrise.estimators._checked_tables import checked_samples
from rankrise.estimators._fitting import START, Task
from rankrise.losses import SquaredLoss

# Standard deviation of what the model learns, whose mean is `START`.
_SPREAD = 0.1


class TensorRegressor(RegressorMixin, TensorEstimator):  # type: ignore[misc]
    r"""Regression by a tensor of low CP rank over the levels of the features.

    A column of numbers is cut into levels of about equally many samples, a category is
    a level, and a sample with levels $x$ is given

    .. math:: a + b \sum_{r=1}^R \prod_n W_{nr}[x_n],

    where $a$ and $b$ bring the target to mean 1 and standard deviation 0.1 (Razin et
    al. 2021, Section 5, without $a$ and $b$).

    Parameters
    ----------
    n_components
        How many components, $R$, which bounds the CP rank.
    n_levels
        The most levels of a column of numbers, from 2 to 256. Numbers beyond those
        learned from fall into the end levels; text never seen is refused.
    init_mean, init_std
        Mean and standard deviation of the factors at the start; by default the mean
        lets the model predict the target's mean.
    optimizer
        ``"levenberg-marquardt"``: damped Gauss-Newton steps on all samples;
        ``"adam"``, with learning rate 0.01; or a gradient transformation of optax.
    max_iter
        Epochs; by default 40 for Levenberg-Marquardt, else 400.
    batch_size
        Samples a step; by default 200. For Levenberg-Marquardt how many are held in
        memory at once, by default 5000.
    early_stopping, validation_fraction
        Set this share aside and take the epoch at which its loss was lowest. Without
        it, factors of as many components and levels soon fit the noise.
    random_state
        Seed of the start, the shuffling and the validation part.
    verbose
        Other than zero: show progress, as a bar at a terminal or in a notebook and as a
        line on stderr every so often elsewhere.

    Attributes
    ----------
    rank_
        How many components have a norm above 1e-3 of the largest.
    component_norms_
        Falling: root mean square of each component over all combinations of levels.
    factors_
        For every feature: level, component.
    intercept_, scale_
        $a$ and $b$.
    n_iter_
        Epochs that led to the factors: fewer than `max_iter` where early stopping
        took an earlier one, or training diverged.
    loss_curve_
        Mean loss of each of them, in units of the scaled target.
    levels_
        How columns become levels: `levels_.encode(X).indices` are rows of `factors_`.
    n_features_in_, feature_names_in_
        Features of the samples learned from.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> X = np.random.default_rng(0).choice(["s", "m", "l"], (200, 4))
    >>> y = 1.0 * (X[:, 0] == X[:, 1])
    >>> model = rr.TensorRegressor(n_components=3, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        start: Sequence[npt.ArrayLike] | None = None,
        batches: Iterable[npt.ArrayLike] | None = None,
    ) -> "TensorRegressor":
        """Learn from samples.

        Parameters
        ----------
        X
            One row a sample: an array or a pandas DataFrame of numbers, text and
            categories.
        y
            One number a sample. If all are the same, that is what is predicted.
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
        X, y = checked_samples(self, X, y)
        y = np.asarray(y, dtype=np.float64)
        mean, deviation = float(np.mean(y)), float(np.std(y))
        # A target that never varies has a deviation of rounding errors at most.
        scale = deviation / _SPREAD if deviation > 1e-12 * abs(mean) else 0.0
        targets = START + (y - mean) / scale if scale else np.full_like(y, START)
        task = Task(targets[:, None], SquaredLoss(), START)
        self._learn(X, task, start=start, batches=batches)
        self.scale_ = scale
        self.intercept_ = mean - START * scale
        self.factors_ = tuple(factor[0] for factor in self._products.factors)
        self.component_norms_ = self._products.component_norms[0]
        self.rank_ = int(self._products.ranks[0])
        return self

    def predict(self, X: Any) -> FloatArray:
        """One number a sample."""
        outputs = self._outputs(X)[:, 0]
        return self.intercept_ + self.scale_ * outputs
