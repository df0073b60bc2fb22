"""When components rose."""

from typing import Any

import numpy as np

# A component below this share of the largest did not rise: those of the paper's runs
# that stay near zero end below a thousandth, the smallest that rises at a third.
RISEN_SHARE = 0.01


def rises(norms: Any) -> list[int | None]:
    """The save at which each component first passed half its final norm.

    `norms` has one row per save and one column per component. None for a component
    that ends below a hundredth of the largest, and where there is but one save: it did
    not rise.
    """
    if len(norms) < 2:
        return [None] * norms.shape[1]
    final = norms[-1]
    passed = np.argmax(norms >= final / 2, axis=0)
    return [
        int(first) if norm > RISEN_SHARE * final.max() else None
        for first, norm in zip(passed, final, strict=True)
    ]
