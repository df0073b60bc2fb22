"""Which model it is: what is held out from it, and how it is fitted."""

from typing import NamedTuple

from rankrise.completion._settings import Centering


class Variant(NamedTuple):
    """How models are fitted, where held-out entries decide it.

    Attributes
    ----------
    smooth
        Whether neighbouring rows may be alike.
    loss
        The name of one of the losses of the settings.
    """

    smooth: bool
    loss: str
    centering: Centering


# The number of the part that is held out, and the variant.
Key = tuple[int, Variant]
