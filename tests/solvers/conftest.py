"""One problem and one set of options for all tests of solvers.

Every new shape, solver, stop rule or observable compiles the loop anew (seconds), so
tests share these and change what is cheap: starts, steps, saves.
"""

import dataclasses

import jax
import numpy as np
import pytest

from rankrise.factorizations import near_zero
from rankrise.problems import CompletionProblem
from rankrise.solvers import GradientDescent, Stop, _session, solve
from rankrise.synthetic import observe, random_target, sample_indices
from rankrise.trajectories import Recording

MODE_DIMS = (4, 3, 2)
OBSERVED = ("loss", "component_norms")


@pytest.fixture(scope="session")
def problem():
    """Twenty entries of a tensor of CP rank 1, of order 1 each."""
    target = random_target(MODE_DIMS, 1, frobenius_norm=5.0, seed=3)
    indices = sample_indices(MODE_DIMS, 20, seed=1)
    return CompletionProblem.from_observations(observe(target, indices, seed=1))


@pytest.fixture(scope="session")
def starts():
    """With `run`, they converge after 171, 373 and 501 steps; the last needs 9000."""
    return [
        near_zero(MODE_DIMS, 3, init_scale=init_scale, key=jax.random.key(seed))
        for seed, init_scale in enumerate((0.5, 0.3, 0.1, 0.02))
    ]


@pytest.fixture(scope="session")
def run(problem):
    """`solve` by gradient descent, with whatever else a test gives."""
    names = {field.name for field in dataclasses.fields(Recording)}

    def run(model, **options):
        recorded = {name: options.pop(name) for name in names & options.keys()}
        defaults = {
            "solver": GradientDescent(0.1),
            "stop": Stop(loss_tolerance=1e-3, patience=10),
            "recording": Recording(**{"observables": OBSERVED} | recorded),
        }
        return solve(problem, model, **defaults | options)

    return run


@pytest.fixture
def chunks_of(monkeypatch):
    """Makes the chunks of the compiled loop so many steps, instead of seconds."""

    def fix(steps):
        monkeypatch.setattr(_session, "_adapted", lambda *_: steps)

    return fix


@pytest.fixture(scope="session")
def numpy_gradient(problem):
    """Gradient of the mean squared residual by factor matrices, written out."""
    indices, values = np.asarray(problem.indices), np.asarray(problem.values)

    def gradient(matrices):
        rows = [matrix[i] for matrix, i in zip(matrices, indices.T, strict=True)]
        residual = rows[0] * rows[1] * rows[2]
        slope = 2 * (residual.sum(axis=1) - values)[:, None] / len(values)
        slopes = []
        for mode, matrix in enumerate(matrices):
            left, right = (rows[other] for other in range(3) if other != mode)
            slopes.append(np.zeros_like(matrix))
            np.add.at(slopes[mode], indices[:, mode], slope * left * right)
        return slopes

    return gradient


@pytest.fixture(scope="session")
def assert_identical():
    """Two results of `solve` are the same, bit for bit, but for the seconds."""

    def compare(first, second):
        assert first.dataset.identical(second.dataset)
        assert first.outcomes == second.outcomes
        for one, other in zip(first.models, second.models, strict=True):
            for ours, theirs in zip(*map(jax.tree.leaves, (one, other)), strict=True):
                np.testing.assert_array_equal(ours, theirs, strict=True)

    return compare
