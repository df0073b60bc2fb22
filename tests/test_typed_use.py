"""What type checkers see of the public names: `make types` checks this file."""

from typing import assert_type

import jax.numpy as jnp
import numpy as np

import rankrise as rr


def test_completing_is_typed() -> None:
    rows = np.add.outer(np.arange(6.0), np.arange(5.0) ** 2)
    rows[1, 2] = np.nan
    found = rr.complete(rows, models=1)
    assert_type(found, rr.Completion)
    assert found.rank >= 1


def test_namespaces_are_typed() -> None:
    observations = rr.synthetic.observe(
        rr.synthetic.random_target((3, 4), 1, seed=0),
        rr.synthetic.sample_indices((3, 4), 9, seed=0),
        seed=0,
    )
    assert_type(observations, rr.Observations)
    loss: rr.losses.AbstractLoss = rr.losses.HuberLoss(0.5)
    assert_type(rr.experiments.DynamicsConfig(), rr.experiments.DynamicsConfig)
    problem = rr.CompletionProblem.from_observations(observations, loss)
    start = rr.factorizations.DenseTensor(jnp.full((3, 4), 0.1))
    assert_type(
        rr.solve(problem, start, rr.GradientDescent(0.1), max_steps=2),
        rr.trajectories.Trajectory,
    )
