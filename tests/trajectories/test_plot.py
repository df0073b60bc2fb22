"""Pictures of trajectories."""

import jax
import matplotlib.pyplot as plt
import pytest

import rankrise as rr


@pytest.mark.parametrize("runs", [1, 2])
def test_runs_whose_init_scale_is_not_known_share_a_panel(key, runs):
    target = rr.synthetic.random_target((3, 3, 3), cp_rank=1, seed=0)
    indices = rr.synthetic.sample_indices((3, 3, 3), 20, seed=0)
    observations = rr.synthetic.observe(target, indices, seed=0)
    problem = rr.CompletionProblem.from_observations(observations)
    starts = [
        rr.factorizations.near_zero((3, 3, 3), 2, init_scale=0.1, key=each)
        for each in jax.random.split(key, runs)
    ]
    trajectory = rr.solve(problem, starts, rr.GradientDescent(0.1), max_steps=10)
    norms, *_ = trajectory.plot().ravel()
    assert norms.get_title() == "component norms"
    assert len(trajectory.plot().ravel()) == 2
    assert len(norms.lines) >= 2 * runs
    plt.close("all")
