"""Sensing problems: inner products with measurement tensors, dense and factored."""

import functools as ft

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import CPFactorization
from rankrise.losses import HuberLoss, LogisticLoss, SquaredLoss
from rankrise.problems import CompletionProblem, SensingProblem, _sensing
from rankrise.tensors import Observations

every_order = pytest.mark.parametrize("mode_dims", [(4, 3), (2, 3, 4), (2, 3, 2, 2, 3)])
COUNT = 7
KINDS = ["dense", "factored"]
# Inner products over at most 72 entries of order 1.
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}

loss_and_gradient = jax.jit(
    jax.value_and_grad(lambda model, problem: problem.loss(model))
)


def random_model(mode_dims, components=2):
    rng = np.random.default_rng(0)
    return CPFactorization(
        tuple(jnp.asarray(rng.normal(size=(dim, components))) for dim in mode_dims)
    )


def random_factors(mode_dims, cp_rank=2):
    rng = np.random.default_rng(1)
    return [rng.normal(size=(COUNT, dim, cp_rank)) for dim in mode_dims]


def formed(factors):
    """The measurement tensors of factored measurements, one by one."""
    tensors = []
    for matrices in zip(*factors, strict=True):
        components = zip(*(matrix.T for matrix in matrices), strict=True)
        outer_products = (ft.reduce(np.multiply.outer, c) for c in components)
        tensors.append(sum(outer_products))
    return np.stack(tensors)


def random_values():
    return np.random.default_rng(2).normal(size=COUNT)


def build(kind, factors, values, *arguments, **options):
    if kind == "dense":
        return SensingProblem.from_dense(formed(factors), values, *arguments, **options)
    return SensingProblem.from_factored(factors, values, *arguments, **options)


every_kind = pytest.mark.parametrize("kind", KINDS)


def assert_same_loss_and_gradient(problem, other, model):
    for one, two in zip(
        jax.tree.leaves(loss_and_gradient(model, problem)),
        jax.tree.leaves(loss_and_gradient(model, other)),
        strict=True,
    ):
        np.testing.assert_allclose(one, two, **ROUNDING)


@every_kind
@every_order
def test_predictions_are_inner_products_with_the_measurement_tensors(kind, mode_dims):
    factors, model = random_factors(mode_dims), random_model(mode_dims)
    problem = build(kind, factors, random_values())
    tensor = np.asarray(model.end_tensor())
    expected = [np.sum(measurement * tensor) for measurement in formed(factors)]
    np.testing.assert_allclose(problem.predictions(model), expected, **ROUNDING)
    assert problem.mode_dims == mode_dims


# Few components: mode by mode. Many: the end tensor is formed first.
@pytest.mark.parametrize("components", [2, 60])
def test_factored_measurements_give_the_loss_and_gradient_of_formed_ones(components):
    factors, values = random_factors((2, 3, 4)), random_values()
    assert_same_loss_and_gradient(
        SensingProblem.from_factored(factors, values),
        SensingProblem.from_dense(formed(factors), values),
        random_model((2, 3, 4), components),
    )


@pytest.mark.parametrize("mode_dims", [(4, 3), (2, 3, 4)])
def test_completion_is_sensing_with_one_hot_measurement_tensors(mode_dims):
    rng = np.random.default_rng(3)
    indices = rng.permutation(np.argwhere(np.ones(mode_dims)))[:COUNT]
    values, weights = random_values(), rng.uniform(size=COUNT)
    completion = CompletionProblem.from_observations(
        Observations.from_coordinates(indices, values, mode_dims, weights=weights)
    )
    one_hot = [
        np.eye(dim)[column][..., None]
        for dim, column in zip(mode_dims, indices.T, strict=True)
    ]
    for kind in KINDS:
        sensing = build(kind, one_hot, values, weights=weights)
        assert_same_loss_and_gradient(sensing, completion, random_model(mode_dims))


@every_kind
def test_loss_is_the_weighted_mean_of_the_loss_function(kind):
    factors, model = random_factors((2, 3, 4)), random_model((2, 3, 4))
    values, weights = random_values(), np.arange(COUNT, dtype=float)
    problem = build(kind, factors, values, HuberLoss(0.3), weights=weights)
    tensor = np.asarray(model.end_tensor())
    distance = np.abs([np.sum(A * tensor) for A in formed(factors)] - values)
    losses = np.where(distance <= 0.3, distance**2 / 2, 0.3 * (distance - 0.15))
    expected = np.average(losses, weights=weights)
    np.testing.assert_allclose(problem.loss(model), expected, **ROUNDING)


@every_kind
def test_loss_is_squared_by_default(kind):
    problem = build(kind, random_factors((2, 3)), random_values())
    assert problem.loss_function == SquaredLoss()


@pytest.mark.parametrize(
    ("kind", "weights"), [("dense", np.arange(COUNT, dtype=float)), ("factored", None)]
)
def test_minibatch_is_the_problem_of_the_subset(kind, weights):
    factors, values = random_factors((2, 3, 4)), random_values()
    rows = np.array([5, 0, 2])
    problem = build(kind, factors, values, HuberLoss(0.3), weights=weights)
    subset = build(
        kind,
        [factor[rows] for factor in factors],
        values[rows],
        HuberLoss(0.3),
        weights=None if weights is None else weights[rows],
    )
    taken = problem.take(jnp.asarray(rows))
    assert taken.observations == 3
    assert_same_loss_and_gradient(taken, subset, random_model((2, 3, 4)))


# Room for less than one measurement tensor, for two, and for all seven but one.
@pytest.mark.parametrize(("room", "rows"), [(0.5, 1), (2.5, 2), (6, 6)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dense_measurements_are_read_in_chunks(
    room, rows, dtype, monkeypatch, tmp_path
):
    tensors = formed(random_factors((2, 3, 4))).astype(dtype)
    np.save(tmp_path / "measurements.npy", tensors)
    mapped = np.load(tmp_path / "measurements.npy", mmap_mode="r")
    read = []
    overwrite = _sensing._overwrite_rows

    def recorded(matrix, chunk, start):
        read.append(len(chunk))
        return overwrite(matrix, chunk, start)

    monkeypatch.setattr(_sensing, "_overwrite_rows", recorded)
    monkeypatch.setattr(_sensing, "_CHUNK_BYTES", int(room * tensors[0].nbytes))
    problem = SensingProblem.from_dense(mapped, random_values())
    np.testing.assert_array_equal(problem.measurements, tensors.reshape(COUNT, -1))
    assert problem.measurements.dtype == np.float64
    assert sum(read) == COUNT
    assert max(read) == rows


@every_kind
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_measurement_that_is_not_finite_is_named(kind, wrong, monkeypatch):
    factors = random_factors((2, 3, 4))
    factors[1][5, 2, 0] = wrong
    # Room for two tensors of 192 bytes, so it is found in the third chunk.
    monkeypatch.setattr(_sensing, "_CHUNK_BYTES", 400)
    with pytest.raises(InputError, match="Measurement tensor 5 holds a value"):
        build(kind, factors, random_values())


@every_kind
def test_measurement_beyond_the_precision_is_named(kind):
    factors = random_factors((2, 3))
    factors[0][4] *= 1e300
    build(kind, factors, random_values())
    with (
        jax.enable_x64(False),
        pytest.raises(InputError, match="Measurement tensor 4 holds a value"),
    ):
        build(kind, factors, random_values())


NAN = np.array([0.0] * 6 + [np.nan])


@every_kind
@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros(6), {}, r"7 measurement tensors but the values have shape \(6,\)"),
        (NAN, {}, "Observation 6 has the value nan"),
        (np.arange(7.0), {"loss_function": LogisticLoss()}, "Observation 2 .* labels"),
        (np.zeros(7), {"weights": np.ones(6)}, r"shape \(6,\) for 7 observations"),
        (np.zeros(7), {"weights": NAN}, "Observation 6 has the weight nan"),
        (np.zeros(7), {"weights": -np.ones(7)}, "Observation 0 has the weight -1.0"),
        (np.zeros(7), {"weights": np.zeros(7)}, "All weights are zero"),
    ],
)
def test_refused_values_and_weights_are_named(kind, values, options, message):
    with pytest.raises(InputError, match=message):
        build(kind, random_factors((2, 3)), values, **options)


def test_dense_measurements_that_are_no_tensors_are_refused():
    with pytest.raises(InputError, match=r"shape \(7, 4\); one tensor of two"):
        SensingProblem.from_dense(np.ones((7, 4)), random_values())


@pytest.mark.parametrize(
    "shapes",
    [
        [(7, 3, 2)],
        [(7, 3), (7, 4)],
        [(7, 3, 2), (7, 4, 1)],
        [(7, 3, 2), (6, 4, 2)],
    ],
)
def test_factored_measurements_that_do_not_fit_together_are_refused(shapes):
    with pytest.raises(InputError, match="one array of shape"):
        SensingProblem.from_factored([np.ones(s) for s in shapes], random_values())


def test_no_measurements_are_refused():
    with pytest.raises(InputError, match="no measurement tensors"):
        SensingProblem.from_dense(np.ones((0, 3, 4)), np.ones(0))
    with pytest.raises(InputError, match="no measurement tensors"):
        SensingProblem.from_factored([np.ones((0, 3, 1))] * 2, np.ones(0))
