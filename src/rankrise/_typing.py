"""Array types shared by all folders."""

from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.integer[Any]]
Values = npt.NDArray[np.floating[Any]]
ModeDims = tuple[int, ...]
