"""A large sparse tensor to complete, made without much more memory than it takes."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import rankrise as rr
from rankrise.synthetic import cp_entries

# Entries that are made at once.
_BLOCK = 2**20


@dataclass(frozen=True)
class LargeSizes:
    """The tensor, what it is made of, and how long to look.

    Attributes
    ----------
    components
        Of which the tensor is a sum.
    normal
        Whether factors have normal entries, whose products have outliers, or uniform.
    width
        How many components a completion may have, and a pass has.
    """

    mode_dims: tuple[int, ...] = (10_000, 10_000, 1000)
    observed: int = 10_000_000
    components: int = 3
    noise: float = 0.5
    width: int = 8
    normal: bool = False
    max_seconds: float = 400.0
    repeats: int = 3

    @property
    def operations(self) -> int:
        """Of the equations of one mode, for each observation.

        The product of the other modes' rows and its weighting, its outer product with
        itself and with the target, each a multiplication and an addition.
        """
        order, width = len(self.mode_dims), self.width
        return (order - 2) * width + width + 2 * width**2 + 2 * width


class LargeTensor:
    """Components of entries with unit variance, and noise on what is observed."""

    def __init__(self, sizes: LargeSizes) -> None:
        self._sizes, self._rng = sizes, np.random.default_rng(0)
        shapes = [(dim, sizes.components) for dim in sizes.mode_dims]
        self._matrices = tuple(
            self._rng.standard_normal(shape)
            if sizes.normal
            else self._rng.uniform(-(3**0.5), 3**0.5, shape)
            for shape in shapes
        )

    def indices(self, count: int) -> npt.NDArray[np.int32]:
        """Distinct entries in order, a few fewer where some coincide."""
        dims = self._sizes.mode_dims
        entries = math.prod(dims)
        indices = np.empty((count, len(dims)), np.int32)
        blocks = max(1, count // _BLOCK)
        done = 0
        for number in range(blocks):
            # As many from every part of the flattened tensor.
            low, high = (entries * k // blocks for k in (number, number + 1))
            wanted = count // blocks + (number < count % blocks)
            flat = np.unique(self._rng.integers(low, high, wanted))
            block = indices[done : done + len(flat)]
            for mode, column in enumerate(np.unravel_index(flat, dims)):
                block[:, mode] = column
            done += len(flat)
        return indices[:done]

    def entries(self, indices: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Without noise."""
        values = np.empty(len(indices))
        for begin in range(0, len(indices), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            values[block] = cp_entries(self._matrices, indices[block])
        return values

    def observations(self, *, in_order: bool = False) -> rr.Observations:
        """With noise; by default they come in no order, as from files."""
        indices = self.indices(self._sizes.observed)
        if not in_order:
            indices = indices[self._rng.permutation(len(indices))]
        values = self.entries(indices)
        for begin in range(0, len(values), _BLOCK):
            block = values[begin : begin + _BLOCK]
            block += self._sizes.noise * self._rng.standard_normal(len(block))
        # They are distinct and within range, so nothing is checked again.
        return rr.Observations(indices, values, self._sizes.mode_dims)
