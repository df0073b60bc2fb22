"""Distances of end tensors, formed and through Gram matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import (
    CPFactorization,
    DenseTensor,
    _distance,
    end_tensor_distance,
)

every_order = pytest.mark.parametrize("mode_dims", [(4, 3), (2, 3, 4), (2, 3, 2, 2, 3)])


def random_model(mode_dims, components, seed):
    rng = np.random.default_rng(seed)
    return CPFactorization(
        tuple(jnp.asarray(rng.normal(size=(dim, components))) for dim in mode_dims)
    )


@pytest.fixture(params=["formed", "through Gram matrices"])
def way(request, monkeypatch):
    if request.param == "through Gram matrices":
        monkeypatch.setattr(_distance, "GRID_ENTRIES", 0)
    return request.param


@every_order
def test_distance_is_the_norm_of_the_difference(mode_dims, way):
    first, second = (random_model(mode_dims, seed + 2, seed) for seed in range(2))
    expected = np.linalg.norm(np.asarray(first.end_tensor()) - second.end_tensor())
    # Compiled anew each time, for the way is chosen while compiling.
    distance = jax.jit(lambda *pair: end_tensor_distance(*pair))(first, second)
    # Rounding alone, for tensors this far apart.
    np.testing.assert_allclose(distance, expected, rtol=1e-13)


@every_order
def test_distance_of_a_tensor_to_itself_is_zero(mode_dims, way):
    model = random_model(mode_dims, 3, 0)
    # Permuted, so that the two are sums of the same terms in another order.
    again = CPFactorization(tuple(W[:, ::-1] for W in model.factor_matrices))
    distance = jax.jit(lambda *pair: end_tensor_distance(*pair))(model, again)
    # A difference of squares loses half of the digits; 1e-16 becomes 1e-8.
    tolerance = 1e-14 if way == "formed" else 1e-7
    assert distance < tolerance * np.linalg.norm(model.end_tensor())


def test_factorizations_of_different_kinds_are_compared():
    model = random_model((2, 3, 4), 3, 0)
    shifted = DenseTensor(model.end_tensor().at[1, 2, 3].add(5.0))
    distance = end_tensor_distance(model, shifted)
    # The sum of 5 and an entry of order 1 is rounded at about 1e-15.
    np.testing.assert_allclose(distance, 5.0, rtol=1e-14)


def test_large_tensors_are_compared_without_forming_them():
    # 10^16 entries: ones against threes.
    ones, threes = (
        CPFactorization((jnp.full((10**4, 1), scale), *[jnp.ones((10**4, 1))] * 3))
        for scale in (1.0, 3.0)
    )
    distance = end_tensor_distance(ones, threes)
    # Terms of up to 9e16 add to 4e16: a few roundings of 1e-16 each.
    np.testing.assert_allclose(distance, 2e8, rtol=1e-13)


def test_other_mode_dimensions_are_refused():
    with pytest.raises(InputError, match=r"\(2, 3\) and \(3, 2\); only tensors of one"):
        end_tensor_distance(random_model((2, 3), 1, 0), random_model((3, 2), 1, 0))


def test_large_tensors_that_are_not_cp_are_refused(monkeypatch):
    monkeypatch.setattr(_distance, "GRID_ENTRIES", 5)
    with pytest.raises(InputError, match=r"6 entries .* both sides as CP"):
        end_tensor_distance(random_model((2, 3), 1, 0), DenseTensor(jnp.ones((2, 3))))
