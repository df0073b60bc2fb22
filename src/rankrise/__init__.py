"""Tensor factorizations trained from near zero, and the CP rank they settle at.

Names load when used (see `__init__.pyi`), so that importing the package is quick.
"""

import lazy_loader

from rankrise._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
