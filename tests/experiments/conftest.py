"""Runs that several tests read; each takes a compilation of seconds."""

import pytest

from rankrise.experiments import DynamicsConfig, run_dynamics


@pytest.fixture(scope="session")
def staircase_config():
    return DynamicsConfig(
        mode_dims=(5, 5, 5),
        target_rank=3,
        observations=110,
        components=10,
        init_scales=(0.1, 0.003),
        steps=6000,
        save_every=1,
        seed=1,
    )


@pytest.fixture(scope="session")
def staircase(staircase_config):
    return run_dynamics(staircase_config)
