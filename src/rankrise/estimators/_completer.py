"""Completion of a tensor as a regression on its indices."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from rankrise._errors import InputError
from rankrise._memory import MAX_DENSE_BYTES
from rankrise._typing import Indices
from rankrise.completion import (
    Completion,
    CompletionSettings,
    HeldOut,
    PathPoint,
    check_enough,
    complete_by_alternation,
    complete_by_constants,
)
from rankrise.estimators._checked_tables import checked_rows, checked_samples
from rankrise.estimators._mode_labels import ModeLabels, observations_of
from rankrise.runs import Ending, counting_seconds
from rankrise.tables import is_data_frame
from rankrise.tensors import Observations, incomplete_tensor

_UNKNOWN = ("warn", "ignore", "nan", "error")
# Those that have the same name and default there.
_SETTINGS = (
    *("heldout", "heldout_share", "loss", "smooth", "non_negative", "center"),
    *("main_effects", "max_components", "max_seconds"),
)
_PATH = list(zip(PathPoint._fields, ("f8", "i8", "f8", "f8"), strict=False))


class TensorCompleter(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Complete a tensor from rows of labels, one column a mode, and the values there.

    .. math:: y = b + \sum_n e^n_{i_n} + \sum_{r=1}^R \prod_n W^n_{i_n r}

    where $i_n$ is the place of the label in column $n$ among the labels of that mode.
    Several models are fitted, each with another part of the samples held out.
    Components enter one by one as the penalty falls; each model is taken at its
    smallest held-out loss, so no rank is asked for. Predictions are the mean of the
    models.

    Parameters
    ----------
    n_models
        How many; by default up to eight, fewer for many samples.
    heldout
        Whether ``"random"`` samples or whole ``"fiber"``\ s are held out; ``"auto"``
        looks which of them the gaps are.
    heldout_share
        Share of the samples held out from each model; by default all are held out once.
    loss
        ``"squared"``, ``"absolute"``, ``"huber"`` or ``"smooth-l1"`` (with threshold
        one standard deviation), ``"logistic"`` for labels 0 and 1, of which
        probabilities are predicted; or a loss of rankrise. For counts, of which rates
        are predicted: ``"poisson"`` fits logarithms of rates, so components multiply;
        ``"poisson-identity"`` fits rates, so non-negative components add; ``"counts"``
        fits both and keeps the one with the larger held-out likelihood.
    smooth
        Whether neighbouring labels of a mode may be alike, in natural order; by default
        what is better on held-out samples.
    non_negative
        Constrain factors to be non-negative; turns centering off.
    center
        Take the mean off the values first; by default held-out samples decide.
    main_effects
        Take a number for every label of every mode off as well; by default held-out
        samples decide, unless `center` is given.
    penalties
        Penalties of the path, in falling order, in units of one sample's weight.
    max_components
        Where no more enter; the rank is not set by it.
    max_seconds
        Time limit in seconds from the start of `fit`, loading included, which is always
        finished; what was found so far is kept.
    handle_unknown
        What is predicted for labels never seen in `fit`. ``"ignore"``: what the rest
        says, $b$ and the effects of the labels that were seen; ``"warn"``: the same,
        with a warning; ``"nan"``: NaN; ``"error"``: a ValueError.
    random_state
        Seed of the held-out samples and of the directions that components enter along.
    verbose
        Other than zero: show progress, as a bar at a terminal or in a notebook and as a
        line on stderr every so often elsewhere.

    Attributes
    ----------
    labels_
        For every mode, in the order of its indices: natural, as `read_tensor` has it
        (trial7 before trial10, dates by time), or that of the categories.
    rank_
        Components that the samples show; estimated when it is asked for, as by
        `estimate_rank`.
    n_components_
        How many components of the reference, which is the model with the smallest
        held-out loss, have a norm above a hundredth of the largest.
    factors_
        Factor matrices of the reference: label by component, in units of the target.
    component_norms_
        Component norms of the reference, falling.
    intercept_, effects_
        The reference's $b$, and for every mode $e^n$ where there are main effects.
        With logistic and Poisson losses log-odds and logarithms, as the components;
        with ``"poisson-identity"`` rates, of which $b$ is one percent of the mean.
    loss_
        The loss that was fitted; for ``"counts"`` the one that was chosen.
    reproducibility_
        For every component of the reference its mean similarity to that of other
        models, from 0 to 1; NaN where there is no other.
    path_
        The reference's, where it came to rest: penalty, components, mean losses. The
        first point is that of no component; losses are of the target less
        `intercept_` in units of its root mean square.
    smooth_
        Whether neighbouring labels could be alike.
    heldout_error_
        Root mean square error of single models on samples they were not shown.
    noise_error_
        What `heldout_error_` would be by noise alone; NaN where that cannot be told.
    heldout_relative_error_
        The same over the root mean square of the target.
    heldout_score_
        The same as $R^2$, to compare with `score` on other samples.
    n_models_
        How many were made.
    ending_
        ``"converged"``, or ``"time limit"``.
    n_features_in_, feature_names_in_
        Number and names of the features in `fit`.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> X = np.argwhere(np.random.default_rng(0).random((9, 8)) < 0.7)
    >>> y = np.sin(X[:, 0]) * (1.0 + X[:, 1])
    >>> model = rr.TensorCompleter(n_models=2, random_state=0).fit(X, y)
    >>> model.completed_.shape
    (9, 8)
    """

    def __init__(
        self,
        *,
        n_models: int | None = None,
        heldout: HeldOut = "auto",
        heldout_share: float | None = None,
        loss: Any = "squared",
        smooth: bool | None = None,
        non_negative: bool = False,
        center: bool | None = None,
        main_effects: bool | None = None,
        penalties: Any = None,
        max_components: int = 64,
        max_seconds: float | None = None,
        handle_unknown: Literal["warn", "ignore", "nan", "error"] = "warn",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_models = n_models
        self.heldout = heldout
        self.heldout_share = heldout_share
        self.loss = loss
        self.smooth = smooth
        self.non_negative = non_negative
        self.center = center
        self.main_effects = main_effects
        self.penalties = penalties
        self.max_components = max_components
        self.max_seconds = max_seconds
        self.handle_unknown = handle_unknown
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        # Columns of numbers are names of rows here, so hardly any row is seen twice.
        tags.regressor_tags.poor_score = True
        return tags

    @counting_seconds()
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TensorCompleter:
        """Learn from observed entries.

        Parameters
        ----------
        X
            One row an entry and one column a mode: an array or a pandas DataFrame of
            numbers, text, dates or categories. Labels are neighbours in natural
            order, categories in theirs. The samples of one entry are averaged, which
            then counts as much as all of them.
        y
            The values.
        sample_weight
            Weight of each sample in the loss; one of weight zero is ignored.

        Warns
        -----
        UserWarning
            Where fewer than ten entries are observed, and only their mean is learned.
        ConvergenceWarning
            Where `max_seconds` cut it short.
        """
        settings = self._settings()
        X, y = checked_samples(self, X, y, numbers=True)
        if X.shape[1] < 2:
            raise InputError(
                f"X has {X.shape[1]} feature(s), each of which is a mode, and a tensor "
                "has two or more; give a column for each."
            )
        y = np.asarray(y, np.float64)
        settings.loss_function.check_values(y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
            counts = sample_weight > 0
            X = X.iloc[counts] if is_data_frame(X) else X[counts]
            y, sample_weight = y[counts], sample_weight[counts]
        modes, indices = ModeLabels.fit(X)
        observations = observations_of(indices, y, modes.mode_dims, sample_weight)
        is_label = np.isin(observations.values, (0, 1))
        if settings.loss_function.takes_labels and not is_label.all():
            raise InputError(
                "Some samples of one entry have the label 0 and others 1; leave one of "
                "them out, or take loss='squared'."
            )
        self._modes = modes
        self._take(_complete(observations, settings, bool(self.verbose)))
        return self

    def predict(
        self, X: Any, return_std: bool = False
    ) -> npt.NDArray[np.floating] | tuple[npt.NDArray[np.floating], ...]:
        """Completed entries: what the models say, also where one was observed.

        Parameters
        ----------
        return_std
            Give the standard deviation of their errors as well.
        """
        indices, hidden = self._places(X)
        found = [self._found.entries(indices)]
        if return_std:
            found.append(self._found.entries_std(indices))
        found = [np.where(hidden, np.nan, each) for each in found]
        return tuple(found) if return_std else found[0]

    def predict_interval(
        self, X: Any, level: float = 0.9
    ) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Bounds between which a share `level` of entries like these should lie."""
        indices, hidden = self._places(X)
        lower, upper = self._found.entries_interval(indices, level)
        return np.where(hidden, np.nan, lower), np.where(hidden, np.nan, upper)

    @property
    def rank_(self) -> int:
        """Components that the samples show (see `estimate_rank`)."""
        check_is_fitted(self)
        return self._found.rank

    @property
    def completed_(self) -> npt.NDArray[np.floating]:
        """All entries, one axis a mode: observed ones as they came, others completed.

        NaN where a label of a category was never observed. Made when it is asked for.
        """
        return self._whole("completed_")[0]

    @property
    def std_(self) -> npt.NDArray[np.floating]:
        """Standard deviations of the errors of `completed_`, 0 where observed."""
        return self._whole("std_")[1]

    def _settings(self) -> CompletionSettings:
        if self.handle_unknown not in _UNKNOWN:
            raise InputError(
                f"handle_unknown is {self.handle_unknown!r}; give one of "
                f"{', '.join(map(repr, _UNKNOWN))}."
            )
        random = check_random_state(self.random_state)
        given = {name: _plain(getattr(self, name)) for name in _SETTINGS}
        if self.penalties is not None:
            given["penalties"] = tuple(map(float, self.penalties))
        seed = int(random.randint(2**31 - 1))
        return CompletionSettings(models=_plain(self.n_models), seed=seed, **given)

    def _take(self, found: Completion) -> None:
        self._found, reference = found, found.reference
        self.labels_ = tuple(labels.to_numpy() for labels in self._modes.labels)
        self.n_components_ = found.components
        self.factors_ = found.factors
        self.component_norms_ = found.component_norms
        self.intercept_ = found.offset
        self.effects_ = found.effects
        self.reproducibility_ = found.reproducibility
        self.path_ = np.array([point[:4] for point in found.path], dtype=_PATH)
        self.smooth_ = reference.smooth
        self.loss_ = found.loss
        errors = found.errors()
        self.heldout_error_ = errors["heldout_error"]
        self.noise_error_ = errors["noise_error"]
        self.heldout_relative_error_ = errors["heldout_relative_error"]
        self.heldout_score_ = 1 - errors["heldout_centered_error"] ** 2
        self.n_models_ = len(found.models)
        self.ending_ = found.ending

    def _places(self, X: Any) -> tuple[Indices, npt.NDArray[np.bool_]]:
        """Indices of rows, and which of them to predict as NaN."""
        X = checked_rows(self, X)
        indices = self._modes.indices(X)
        unobserved = self._found.are_unobserved(indices)
        unknown = np.any(unobserved, axis=1)
        if self.handle_unknown in ("warn", "error") and unknown.any():
            row = int(np.argmax(unknown))
            mode = int(np.argmax(unobserved[row]))
            trouble = (
                f"{int(unknown.sum())} of {len(unknown)} samples have labels that were "
                f"never observed, such as {self._modes.shown(X, row, mode)} of sample "
                f"{row}"
            )
            if self.handle_unknown == "error":
                raise InputError(f"{trouble}; leave them out.")
            effects = " and the effects of their other labels"
            warnings.warn(
                f"{trouble}; they are predicted by the mean"
                f"{effects if self.effects_ else ''}.",
                UserWarning,
                stacklevel=3,
            )
        hidden = unknown if self.handle_unknown == "nan" else np.zeros_like(unknown)
        return indices, hidden

    def _whole(self, name: str) -> tuple[npt.NDArray[np.floating], ...]:
        check_is_fitted(self)
        dims = self._found.observations.mode_dims
        size = 8 * math.prod(dims)
        if size > MAX_DENSE_BYTES:
            # So that `hasattr` says no rather than fails.
            raise AttributeError(
                f"{name} would take {size / 2**30:.3g} GiB of memory for mode "
                f"dimensions {dims}; predict the entries that are needed."
            )
        return self._found.completed_arrays()


def _plain(value: Any) -> Any:
    # A search over NumPy's numbers gives these.
    return value.item() if isinstance(value, np.generic) else value


def _complete(
    observations: Observations, settings: CompletionSettings, progress: bool
) -> Completion:
    observed, incomplete = len(observations), incomplete_tensor(observations)
    if observed == 1:
        raise InputError(
            "There is 1 sample, or there are several of one entry alone; give at least "
            "two entries, and ten to learn more than their mean."
        )
    if np.ptp(observations.values) == 0:
        return complete_by_constants(incomplete, settings)
    try:
        check_enough(observations)
    except InputError:
        warnings.warn(
            f"Only {observed} entries are given, too few to learn more than their "
            "mean, which is predicted.",
            UserWarning,
            stacklevel=3,
        )
        return complete_by_constants(incomplete, settings)
    found = complete_by_alternation(incomplete, settings, progress=progress)
    if found.ending == Ending.TIME_LIMIT:
        warnings.warn(
            f"Stopped after {found.seconds:.3g} s, with {len(found.models)} "
            f"model(s) of {found.folds.count}; allow more max_seconds.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return found
