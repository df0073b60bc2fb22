"""Runs that several tests read; each takes a compilation of seconds."""

import numpy as np
import pytest

from rankrise.data import Observations, cp_entries, random_target
from rankrise.experiments import (
    CompletionConfig,
    DynamicsConfig,
    run_completion,
    run_dynamics,
)

MODE_DIMS = (6, 5, 4)


@pytest.fixture(scope="session")
def staircase_config():
    return DynamicsConfig(
        mode_dims=(5, 5, 5),
        target_rank=3,
        observations=110,
        components=10,
        init_scales=(0.1, 0.003),
        steps=6000,
        save_every=10,
        seed=1,
    )


@pytest.fixture(scope="session")
def staircase(staircase_config):
    return run_dynamics(staircase_config)


@pytest.fixture(scope="session")
def whole():
    """A tensor of CP rank 2 with entries of order 1."""
    target = random_target(MODE_DIMS, 2, frobenius_norm=120**0.5, seed=1)
    indices = np.argwhere(np.ones(MODE_DIMS))
    return cp_entries(target, indices).reshape(MODE_DIMS)


@pytest.fixture(scope="session")
def gappy(whole):
    """The same with about a quarter of its entries missing."""
    missing = np.random.default_rng(1).random(MODE_DIMS) > 0.75
    return np.where(missing, np.nan, whole)


@pytest.fixture(scope="session")
def completion_config():
    return CompletionConfig(
        method="paper", components=8, steps=8000, precision="float64"
    )


@pytest.fixture(scope="session")
def completion(gappy, completion_config):
    return run_completion(Observations.from_array(gappy), completion_config)
