"""Tensor factorizations trained from near zero, and the CP rank they settle at.

Names load when used (see `__init__.pyi`), so that importing the package is quick. What
is neither in `rankrise.__all__` nor in that of one of its namespaces is private.
"""

from rankrise._public_names import attach_top as _attach_top
from rankrise._version import __version__ as __version__

__getattr__, __dir__, __all__ = _attach_top(__name__, __file__)
