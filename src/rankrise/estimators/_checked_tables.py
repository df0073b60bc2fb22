"""What estimators learn from and are asked about: arrays and tables, checked."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import (
    assert_all_finite,
    check_is_fitted,
    validate_data,
)

from rankrise._errors import InputError
from rankrise.tables import is_data_frame, rectangular


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
