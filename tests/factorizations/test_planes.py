"""Planes of zeros and ones times matrices, on processors and on matrix units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise.factorizations._planes import times_in_parts, times_plane

PLANE = jax.ShapeDtypeStruct((40, 300), jnp.uint8)
NUMBERS = {
    dtype: jax.ShapeDtypeStruct((300, 7), dtype) for dtype in ("float32", "float64")
}


def programs(platform, dtype):
    exported = jax.export.export(jax.jit(times_plane), platforms=[platform])
    return exported(PLANE, NUMBERS[dtype]).mlir_module()


def test_three_parts_of_a_number_are_the_whole_number():
    rng = np.random.default_rng(0)
    numbers = np.exp(rng.uniform(-40, 40, (300, 7))) * rng.choice([-1, 1], (300, 7))
    numbers = numbers.astype(np.float32)
    # A product with the identity adds nothing but zeros, so nothing may be rounded.
    found = jax.jit(times_in_parts)(np.eye(300, dtype=np.uint8), numbers)
    np.testing.assert_array_equal(found, numbers)


def test_products_in_parts_round_no_more_than_single_precision():
    rng = np.random.default_rng(0)
    plane = rng.integers(0, 2, (40, 300)).astype(np.uint8)
    numbers = rng.standard_normal((300, 7)).astype(np.float32)
    found = jax.jit(times_in_parts)(plane, numbers)
    exact = plane @ numbers.astype(float)
    sizes = plane @ np.abs(numbers).astype(float)
    # Ten bits, as a matrix unit keeps of single precision, would err by some 1e-4.
    assert np.max(np.abs(np.asarray(found) - exact) / sizes) < 2e-7


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
def test_matrix_units_get_single_precision_in_parts(platform):
    assert "bf16" in programs(platform, "float32")


@pytest.mark.parametrize(
    ("platform", "dtype"), [("cpu", "float32"), ("cuda", "float64")]
)
def test_processors_and_double_precision_take_numbers_whole(platform, dtype):
    assert "bf16" not in programs(platform, dtype)
