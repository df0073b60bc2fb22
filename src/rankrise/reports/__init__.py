"""What runs write for people: pictures in files, and tables.

Names load when used, so that a figure waits for no library that another needs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
