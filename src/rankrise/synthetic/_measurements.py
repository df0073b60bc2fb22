r"""Linear measurements of a tensor: inner products $\langle A_i, \mathcal{W} \rangle$.

Measurement tensors are either dense, or of low CP rank and kept factored.
"""

import functools as ft
import math

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise._memory import MAX_DENSE_BYTES
from rankrise._typing import ModeDims, Values
from rankrise.synthetic._synthetic import (
    Stream,
    at_least_one,
    checked_mode_dims,
    generator,
    noisy,
    row_blocks,
)
from rankrise.synthetic._targets import khatri_rao, scaled_to, target_mode_dims

_GIBIBYTE = 2**30


def gaussian_measurements(
    mode_dims: ModeDims, count: int, *, seed: int, dtype: npt.DTypeLike = np.float32
) -> Values:
    """Dense measurement tensors with independent Gaussian entries.

    The entries have mean zero and variance one over their number, so the expected
    square of the Frobenius norm is one. Whatever would take more than 8 GiB is refused.

    Parameters
    ----------
    seed
        As in `random_target`.
    dtype
        float32 or float64.

    Returns
    -------
    The measurement tensors along the first axis, the modes along the others.

    Examples
    --------
    >>> import rankrise as rr
    >>> rr.synthetic.gaussian_measurements((2, 3), 10, seed=0).shape
    (10, 2, 3)
    """
    dims = checked_mode_dims(mode_dims)
    at_least_one("number of measurements", count)
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise InputError(
            f"Measurement tensors of data type {np.dtype(dtype)} cannot be drawn; use "
            "float32 or float64."
        )
    entry_count = math.prod(dims)
    needed = count * entry_count * np.dtype(dtype).itemsize
    if needed > MAX_DENSE_BYTES:
        raise InputError(
            f"{count} dense measurement tensors with mode dimensions {dims} take "
            f"{needed / _GIBIBYTE:.1f} GiB in {np.dtype(dtype)}, and the limit is "
            f"{MAX_DENSE_BYTES // _GIBIBYTE} GiB; ask for fewer or use "
            "`rank_k_measurements`, which stay factored."
        )
    measurements: Values = np.empty((count, *dims), dtype=dtype)
    rng = generator(seed, Stream.GAUSSIAN_MEASUREMENTS)
    rng.standard_normal(dtype=measurements.dtype, out=measurements)
    measurements /= math.sqrt(entry_count)
    return measurements


def rank_k_measurements(
    mode_dims: ModeDims, count: int, *, cp_rank: int = 1, seed: int
) -> tuple[Values, ...]:
    """Measurement tensors of low CP rank and Frobenius norm one, kept factored.

    The factors are independent standard Gaussians before each measurement tensor is
    scaled to norm one, evenly over its modes. No measurement tensor is ever formed.

    Parameters
    ----------
    seed
        As in `random_target`.

    Returns
    -------
    An array for every mode: measurement x mode dimension x component.

    Examples
    --------
    >>> import rankrise as rr
    >>> parts = rr.synthetic.rank_k_measurements((2, 3), 10, cp_rank=1, seed=0)
    >>> [part.shape for part in parts]
    [(10, 2, 1), (10, 3, 1)]
    """
    dims = checked_mode_dims(mode_dims)
    at_least_one("number of measurements", count)
    at_least_one("CP rank of the measurements", cp_rank)
    rng = generator(seed, Stream.RANK_K_MEASUREMENTS)
    return scaled_to(
        tuple(rng.standard_normal((count, dim, cp_rank)) for dim in dims), 1.0
    )


def measure(
    factor_matrices: tuple[Values, ...],
    measurements: Values | tuple[Values, ...],
    *,
    noise_level: float = 0.0,
    seed: int,
) -> Values:
    """Inner products of a CP tensor with measurement tensors, noisy if wanted.

    Sums are float64 whatever the data type of the measurements, a block at a time.

    Parameters
    ----------
    measurements
        Dense as from `gaussian_measurements`, for which the CP tensor is formed once,
        or factored as from `rank_k_measurements`, for which no tensor is formed.
    noise_level
        Standard deviation of the noise over the root mean square of the noiseless
        inner products.
    seed
        Seed of the noise, as in `random_target`.
    """
    if isinstance(measurements, np.ndarray):
        products = _dense_inner_products(factor_matrices, measurements)
    else:
        products = _factored_inner_products(factor_matrices, measurements)
    root_mean_square = float(np.sqrt(np.mean(products**2)))
    rng = generator(seed, Stream.MEASUREMENT_NOISE)
    return noisy(products, noise_level, root_mean_square, rng)


def _dense_inner_products(
    factor_matrices: tuple[Values, ...], measurements: Values
) -> Values:
    mode_dims = target_mode_dims(factor_matrices)
    if measurements.shape[1:] != mode_dims or len(measurements) == 0:
        raise InputError(
            f"The measurements have shape {measurements.shape} but the target has "
            f"mode dimensions {mode_dims}; give measurement tensors of the target's "
            "shape along the first axis, at least one."
        )
    target = _formed(factor_matrices).ravel()
    products = np.empty(len(measurements))
    for block in row_blocks(len(measurements), target.size):
        tensors = measurements[block].astype(np.float64)
        products[block] = tensors.reshape(len(tensors), -1) @ target
    return products


def _factored_inner_products(
    factor_matrices: tuple[Values, ...], measurements: tuple[Values, ...]
) -> Values:
    r"""$\sum_{kr} \prod_n \langle a_k^n, w_r^n \rangle$ for every measurement."""
    count, cp_rank = _factored_sizes(factor_matrices, measurements)
    widest = max(max(matrix.shape) for matrix in factor_matrices)
    products = np.empty(count)
    for block in row_blocks(count, cp_rank * widest):
        mode_products = (
            factor[block].swapaxes(1, 2) @ matrix
            for factor, matrix in zip(measurements, factor_matrices, strict=True)
        )
        products[block] = ft.reduce(np.multiply, mode_products).sum(axis=(1, 2))
    return products


def _factored_sizes(
    factor_matrices: tuple[Values, ...], measurements: tuple[Values, ...]
) -> tuple[int, int]:
    """Number and CP rank of factored measurements, which must fit the target."""
    mode_dims = target_mode_dims(factor_matrices)
    shapes = [factor.shape for factor in measurements]
    first = shapes[0] if shapes else ()
    expected = [(*first[:1], dim, *first[2:]) for dim in mode_dims]
    if len(first) != 3 or 0 in first or shapes != expected:
        raise InputError(
            f"The factored measurements have shapes {shapes} but the target has mode "
            f"dimensions {mode_dims}; give one array (measurement x mode dimension x "
            "component) per mode, at least one measurement."
        )
    return first[0], first[2]


def _formed(factor_matrices: tuple[Values, ...]) -> Values:
    """The CP tensor as a matrix, its leading half of the modes along the rows."""
    half = len(factor_matrices) // 2
    rows = khatri_rao(factor_matrices[:half])
    columns = khatri_rao(factor_matrices[half:])
    return rows @ columns.T
