"""Predictors of low tensor rank with the interface of scikit-learn.

Names load when used, because `TensorCompleter` has no need of JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
