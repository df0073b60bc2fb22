"""Tensors and matrices whose rank is planted, drawn by a seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter1d

from _completion_cases import Case, Floats
from _masked_contraction import cp_tensor

KINDS = ("normal", "uniform", "smooth")
_OFFSETS = (0.0, 2.0)
_RANKS = (1, 6)
_NOISES = (0.01, 0.3)
_OBSERVATIONS_A_PARAMETER = 10
_HELD_OUT_SHARE = 0.1
_MOST_DRAWS = 10_000
# Of the filter that makes rows smooth, in mode dimensions.
_WIDTH = 0.1


@dataclass(frozen=True)
class Draws:
    """What is drawn from.

    Attributes
    ----------
    missing
        The least and the largest share.
    """

    sizes: tuple[tuple[int, ...], ...]
    missing: tuple[float, float]

    def draw(self, seed: int) -> "Planted":
        """The first with enough observations for each of its parameters."""
        rng = np.random.default_rng(seed)
        for _ in range(_MOST_DRAWS):
            mode_dims = self.sizes[rng.integers(len(self.sizes))]
            rank = int(rng.integers(_RANKS[0], _RANKS[1] + 1))
            kind = KINDS[rng.integers(len(KINDS))]
            offset = _OFFSETS[rng.integers(len(_OFFSETS))]
            noise = math.exp(rng.uniform(*np.log(_NOISES)))
            missing = rng.uniform(*self.missing)
            observed = (1 - missing) * math.prod(mode_dims)
            needed = _OBSERVATIONS_A_PARAMETER * parameters(mode_dims, rank)
            if rank <= min(mode_dims) and observed >= needed:
                break
        else:
            raise ValueError(f"No draw of {self} has enough observations.")
        factors = tuple(_factor(rng, kind, dim, rank) for dim in mode_dims)
        signal = cp_tensor(factors)
        signal /= np.std(signal)
        everywhere = signal + offset + noise * rng.standard_normal(mode_dims)
        mask = rng.random(mode_dims) > missing
        return Planted(
            seed, rank, kind, offset, noise, missing, factors, everywhere, mask
        )


TENSORS = Draws(
    (
        *((12, 10, 8), (20, 15, 10), (24, 18, 12), (30, 20, 16)),
        *((40, 30, 20), (60, 40, 30), (14, 12, 10, 6), (12, 10, 8, 8)),
    ),
    missing=(0.3, 0.9),
)
# Whole ones too: with gaps few have enough observations for a rank above one.
MATRICES = Draws(((30, 20), (60, 40), (80, 80), (100, 50)), missing=(0.0, 0.9))


@dataclass(frozen=True, eq=False)
class Planted:
    """A tensor of known rank, in units of its signal's standard deviation.

    Attributes
    ----------
    offset, noise
        What is added to the signal, and the deviation of the noise.
    missing
        The share that an entry is missing with.
    factors
        With columns of norm one.
    everywhere
        All entries with noise, also those that are missing.
    mask
        False where an entry is missing.
    """

    seed: int
    rank: int
    kind: str
    offset: float
    noise: float
    missing: float
    factors: tuple[Floats, ...] = field(repr=False)
    everywhere: Floats = field(repr=False)
    mask: np.ndarray = field(repr=False)

    @property
    def mode_dims(self) -> tuple[int, ...]:
        return self.mask.shape

    @property
    def tensor(self) -> Floats:
        """NaN where an entry is missing."""
        return np.where(self.mask, self.everywhere, np.nan)

    @cached_property
    def observed_factors(self) -> tuple[Floats, ...]:
        """Without the rows of which nothing was observed."""
        axes = range(self.mask.ndim)
        seen = (self.mask.any(axis=tuple(k for k in axes if k != n)) for n in axes)
        return tuple(f[rows] for f, rows in zip(self.factors, seen, strict=True))

    def settings(self) -> dict[str, object]:
        """What it was drawn with, for JSON."""
        observed = int(self.mask.sum())
        return {
            "seed": self.seed,
            "mode_dims": list(self.mode_dims),
            "planted": self.rank,
            "kind": self.kind,
            "offset": self.offset,
            "noise": self.noise,
            "missing": self.missing,
            "observed": observed,
            "a_parameter": observed / parameters(self.mode_dims, self.rank),
        }

    def case(self) -> Case:
        """As peers take it: a tenth of the observed entries is held out."""
        places = np.flatnonzero(self.mask)
        order = np.random.default_rng(self.seed).permutation(places)
        count = round(_HELD_OUT_SHARE * len(order))
        train, held_out = np.sort(order[count:]), np.sort(order[:count])
        scale = float(np.sqrt(np.mean(self.everywhere.reshape(-1)[train] ** 2)))
        test = np.flatnonzero(~self.mask)
        name = f"planted {self.seed}"
        return Case(
            name, self.seed, self.everywhere / scale, scale, train, held_out, test
        )


def parameters(mode_dims: Sequence[int], rank: int) -> int:
    """Free numbers of a tensor of that rank; a matrix has fewer, for it can rotate."""
    if len(mode_dims) == 2:
        return rank * (sum(mode_dims) - rank)
    return rank * (sum(mode_dims) - len(mode_dims) + 1)


def _factor(rng: np.random.Generator, kind: str, dim: int, rank: int) -> Floats:
    if kind == "uniform":
        matrix = rng.uniform(size=(dim, rank))
    else:
        matrix = rng.standard_normal((dim, rank))
    if kind == "smooth":
        matrix = gaussian_filter1d(np.abs(matrix), _WIDTH * dim, axis=0) ** 2
    return matrix / np.linalg.norm(matrix, axis=0)
