"""Tensors with gaps, and one model of them that is fitted step by step."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from rankrise.completion._alternating import Alternation, Stage
from rankrise.completion._arrangement import Arrangement, Rows
from rankrise.losses import AbstractLoss, SquaredLoss

MODE_DIMS = (6, 5, 4)


def product(matrices):
    """The tensor of factor matrices, entry by entry."""
    total = 0.0
    for component in zip(*(matrix.T for matrix in matrices), strict=True):
        outer = np.ones(())
        for vector in component:
            outer = np.multiply.outer(outer, vector)
        total = total + outer
    return total


def low_rank(mode_dims, cp_rank, *, share=0.7, seed=0):
    """A share of a tensor with entries of order one, and all of it."""
    rng = np.random.default_rng(seed)
    whole = product([rng.standard_normal((dim, cp_rank)) for dim in mode_dims])
    whole *= 1 / np.sqrt(np.mean(whole**2))
    return np.where(rng.random(mode_dims) < share, whole, np.nan), whole


@dataclass(frozen=True, eq=False)
class Case:
    """One model's view of a tensor whose unobserved entries are NaN."""

    tensor: np.ndarray
    weights: np.ndarray | None = None
    hidden: np.ndarray | None = None
    loss: AbstractLoss = field(default_factory=SquaredLoss)
    offset: float = 0.0
    non_negative: bool = False

    def but(self, **changes):
        return replace(self, **changes)

    @property
    def observed(self):
        return ~np.isnan(self.tensor)

    @property
    def shown(self):
        """Weights of the entries that count; zero elsewhere."""
        weights = np.ones(self.tensor.shape) if self.weights is None else self.weights
        hidden = False if self.hidden is None else self.hidden
        return np.where(self.observed & ~np.asarray(hidden), weights, 0.0)

    @property
    def rows(self):
        return Rows.of(np.argwhere(self.observed), self.tensor.shape)

    def alternation(self, pool=None):
        """The same for the kernels: lists of what is observed."""
        indices = np.argwhere(self.observed).astype(np.int32)
        arrangement = Arrangement.of(indices, self.rows)
        parts = np.ones(len(indices), np.int16)
        if self.hidden is not None:
            parts[self.hidden[self.observed]] = 0
        weights = None if self.weights is None else self.weights[self.observed]
        return Alternation(
            arrangement,
            self.tensor[self.observed],
            weights,
            arrangement.spread(parts),
            0,
            loss=self.loss,
            offset=self.offset,
            non_negative=self.non_negative,
            pool=pool,
        )

    def start(self, components, seed=0):
        """Random factor matrices for the rows that were observed."""
        rng = np.random.default_rng(seed)
        return [rng.standard_normal((dim, components)) for dim in self.rows.dims]

    def stage(self, matrices):
        stacked = np.concatenate(matrices)
        return Stage(stacked, np.zeros(len(matrices)), np.nan, np.nan)

    def losses(self, matrices):
        """Of all observed entries, and NaN elsewhere; rows must all be observed."""
        with np.errstate(invalid="ignore"):
            return self.loss(product(matrices) + self.offset, self.tensor)

    def objective(self, matrices, penalty):
        total = np.nansum(self.shown * self.losses(matrices))
        return total + penalty * sum(np.sum(matrix**2) for matrix in matrices)


def _case(mode_dims, *, share=0.5, seed=0, **options):
    """Noise of which a share is observed, but at least an entry of every slice."""
    rng = np.random.default_rng(seed)
    observed = rng.random(mode_dims) < share
    places = np.arange(max(mode_dims))
    observed[tuple(places % dim for dim in mode_dims)] = True
    return Case(np.where(observed, rng.standard_normal(mode_dims), np.nan), **options)


@pytest.fixture(scope="session")
def make_case():
    return _case


@pytest.fixture(scope="session")
def make_low_rank():
    return low_rank


@pytest.fixture(scope="session")
def cp_product():
    return product


@pytest.fixture(scope="session")
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="session")
def whole():
    """A tensor of CP rank 2 with entries of order 1."""
    return low_rank(MODE_DIMS, 2, seed=1)[1]


@pytest.fixture(scope="session")
def gappy(whole):
    """The same with about a quarter of its entries missing."""
    missing = np.random.default_rng(1).random(MODE_DIMS) > 0.75
    return np.where(missing, np.nan, whole)
