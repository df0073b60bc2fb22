"""Predictors of low tensor rank with the interface of scikit-learn."""

from rankrise.estimators._classifier import TensorClassifier as TensorClassifier
from rankrise.estimators._completer import TensorCompleter as TensorCompleter
from rankrise.estimators._regressor import TensorRegressor as TensorRegressor
