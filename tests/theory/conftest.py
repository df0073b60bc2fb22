"""Small problems for all tests of theory.

Every new shape compiles its flows anew (seconds), so tests share these.
"""

import jax
import numpy as np
import pytest

from rankrise.experiments import VerificationConfig
from rankrise.experiments._verification import _Problems
from rankrise.factorizations import near_zero
from rankrise.problems import CompletionProblem, SensingProblem
from rankrise.synthetic import (
    cp_entries,
    gaussian_measurements,
    measure,
    random_target,
    rank_k_measurements,
)
from rankrise.tensors import Observations

MODE_DIMS = (3, 4, 2)
COMPONENTS = 4


def completion(mode_dims, share, loss=None, weights=None, seed=0):
    """The entries of a tensor of CP rank 2 that are largest in size."""
    entries = int(np.prod(mode_dims))
    target = random_target(mode_dims, 2, frobenius_norm=entries**0.5, seed=seed)
    everywhere = np.argwhere(np.ones(mode_dims))
    values = cp_entries(target, everywhere)
    kept = np.sort(np.argsort(-np.abs(values))[: int(share * entries)])
    weights = None if weights is None else np.linspace(*weights, len(kept))
    return CompletionProblem.from_observations(
        Observations.from_coordinates(
            everywhere[kept], values[kept], mode_dims=mode_dims, weights=weights
        ),
        loss,
    )


def sensing(mode_dims, count, kind):
    entries = int(np.prod(mode_dims))
    target = random_target(mode_dims, 2, frobenius_norm=entries**0.5, seed=0)
    if kind == "dense":
        dense = gaussian_measurements(mode_dims, count, seed=0, dtype=np.float64)
        return SensingProblem.from_dense(dense, measure(target, dense, seed=0))
    factored = rank_k_measurements(mode_dims, count, seed=0)
    return SensingProblem.from_factored(factored, measure(target, factored, seed=0))


def a_start(mode_dims, components=COMPONENTS, init_scale=0.4, seed=0):
    return near_zero(
        mode_dims, components, init_scale=init_scale, key=jax.random.key(seed)
    )


@pytest.fixture(scope="session")
def problem():
    """Order 3, unequal mode dimensions, most entries observed."""
    return completion(MODE_DIMS, 0.7)


@pytest.fixture(scope="session")
def start():
    return a_start(MODE_DIMS)


@pytest.fixture(scope="session")
def huber():
    """A problem and directions with a leading component, as `rankrise verify` has."""
    problems = _Problems(VerificationConfig(), None)
    return problems.huber, problems.leading_start
