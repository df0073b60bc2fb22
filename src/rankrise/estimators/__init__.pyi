from ._classifier import TensorClassifier as TensorClassifier
from ._completer import TensorCompleter as TensorCompleter
from ._regressor import TensorRegressor as TensorRegressor
