"""What is measured, against the formed tensor."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise.factorizations import CPFactorization
from rankrise.problems import CompletionProblem, SensingProblem, problem_scale
from rankrise.synthetic import (
    gaussian_measurements,
    measure,
    observe,
    random_target,
    rank_k_measurements,
)
from rankrise.tensors import Observations
from rankrise.trajectories import (
    effective_rank,
    reconstruction_error,
    standard_observables,
)

MODE_DIMS = (4, 3, 2)


def random_factors(seed, components=3):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(dim, components)) for dim in MODE_DIMS)


def model_of(factors):
    return CPFactorization(tuple(map(jnp.asarray, factors)))


def formed(factors):
    return np.einsum("ir,jr,kr->ijk", *factors)


def observed_everywhere(tensor, rows):
    observations = Observations.from_array(tensor)
    return CompletionProblem.from_observations(observations.take(rows))


FACTORS, TARGET = random_factors(0), random_factors(1, components=2)
TENSOR, GOAL = formed(FACTORS), formed(TARGET)
TRAIN, HELDOUT = np.arange(0, 20), np.arange(20, 24)


@pytest.fixture(scope="module")
def measured():
    problem = observed_everywhere(GOAL, TRAIN)
    observables = standard_observables(
        problem, heldout=observed_everywhere(GOAL, HELDOUT), target=model_of(TARGET)
    )

    @eqx.filter_jit
    def measure_all(model):
        return {each.name: each(problem, model) for each in observables}

    return measure_all(model_of(FACTORS))


def relative(rows):
    residual = (TENSOR - GOAL).ravel()[rows]
    return np.linalg.norm(residual) / np.linalg.norm(GOAL.ravel()[rows])


def squares():
    return np.stack([np.sum(matrix**2, axis=0) for matrix in FACTORS])


def component_norms():
    return np.sqrt(np.prod(squares(), axis=0))


def pulls():
    gradient = np.zeros(TENSOR.size)
    gradient[TRAIN] = 2 * (TENSOR - GOAL).ravel()[TRAIN] / len(TRAIN)
    components = np.einsum("ir,jr,kr->rijk", *FACTORS).reshape(3, -1)
    return -components @ gradient / component_norms()


def entropy_rank():
    shares = component_norms() / component_norms().sum()
    return math.exp(-np.sum(shares * np.log(shares)))


EXPECTED = {
    "loss": np.mean((TENSOR - GOAL).ravel()[TRAIN] ** 2),
    "train_error": relative(TRAIN),
    "heldout_error": relative(HELDOUT),
    "reconstruction_error": relative(np.arange(24)),
    "frobenius_norm": np.linalg.norm(TENSOR),
    "component_norms": component_norms(),
    "pull": pulls(),
    "unbalancedness": np.max(np.ptp(squares(), axis=0)),
    "effective_rank": 3,
    "entropy_rank": entropy_rank(),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_standard_observable_is_its_definition(name, measured):
    # Sums of at most a hundred products of numbers of order 1.
    np.testing.assert_allclose(measured[name], EXPECTED[name], rtol=1e-12)


def test_held_out_and_reconstruction_error_need_their_tensors():
    names = [
        observable.name
        for observable in standard_observables(observed_everywhere(GOAL, TRAIN))
    ]
    assert len(names) == 8
    assert {"heldout_error", "reconstruction_error"}.isdisjoint(names)


def diagonal(norms):
    """Orthogonal components with these norms."""
    unit = jnp.eye(len(norms))
    return CPFactorization((unit * jnp.asarray(norms), unit, unit))


@pytest.mark.parametrize(
    ("norms", "rank"),
    [([2.0, 2.0, 2.0], 3.0), ([5.0, 0.0, 0.0], 1.0), ([0.0, 0.0, 0.0], 1.0)],
)
def test_entropy_rank_counts_equal_components(norms, rank):
    problem = observed_everywhere(GOAL, TRAIN)
    # exp and log of numbers of order 1.
    (entropy_rank,) = (
        each for each in standard_observables(problem) if each.name == "entropy_rank"
    )
    assert entropy_rank(problem, diagonal(norms)) == pytest.approx(rank, rel=1e-14)


@pytest.mark.parametrize(("threshold", "rank"), [(0.5, 3), (1.0, 2), (2.5, 1), (9, 0)])
def test_effective_rank_counts_components_above_the_threshold(threshold, rank):
    problem = observed_everywhere(GOAL, TRAIN)
    model = diagonal([1.0, 2.0, 3.0])
    assert effective_rank(float(threshold))(problem, model) == rank


def test_a_target_reconstructs_itself():
    problem, model = observed_everywhere(GOAL, TRAIN), model_of(TARGET)
    assert reconstruction_error(model)(problem, model) == 0


def entries_problem(target, count):
    indices = np.argwhere(np.ones((20, 20, 10)))
    return CompletionProblem.from_observations(observe(target, indices, seed=0))


def gaussian_problem(target, count):
    measurements = gaussian_measurements((20, 20, 10), count, seed=0)
    return SensingProblem.from_dense(
        measurements, measure(target, measurements, seed=0)
    )


def rank_2_problem(target, count):
    measurements = rank_k_measurements((20, 20, 10), count, cp_rank=2, seed=0)
    return SensingProblem.from_factored(
        measurements, measure(target, measurements, seed=0)
    )


@pytest.mark.parametrize("build", [entries_problem, gaussian_problem, rank_2_problem])
def test_the_problem_scale_is_near_the_norm_of_the_target(build):
    target = random_target((20, 20, 10), 3, frobenius_norm=7.0, seed=2)
    # The mean of 2000 squares is off by a few percent, its root by half of that.
    assert problem_scale(build(target, 2000)) == pytest.approx(7.0, rel=0.05)
