"""How pictures look: colours, ticks, letters, captions. It alone imports matplotlib.

Names load when used, so that results wait for matplotlib only once they are plotted.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
