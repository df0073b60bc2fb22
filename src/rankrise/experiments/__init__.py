"""Experiments: a frozen config, a run, a result.

Names load when used, because the command line needs the configs for its help, which
should not wait for JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
