"""Tensor sensing: the observations are inner products with measurement tensors."""

import functools as ft
import math
from collections.abc import Sequence
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.factorizations import AbstractFactorization
from rankrise.problems._contract import AbstractProblem, as_values, as_weights
from rankrise.problems._losses import AbstractLoss, SquaredLoss

# Dense measurement tensors move to the device this many bytes at a time.
_CHUNK_BYTES = 2**27


class SensingProblem(AbstractProblem):
    r"""Find the tensor from $y_i = \langle \mathcal{A}_i, \mathcal{W} \rangle$.

    Build one with `from_dense` or `from_factored`.

    Attributes
    ----------
    measurements
        Dense: one matrix with a flattened measurement tensor per row. Factored: mode
        by mode, an array of shape (observations, mode dimension, CP rank).
    """

    measurements: Float[Array, "m entries"] | tuple[Float[Array, "m _ k"], ...]
    values: Float[Array, " m"]
    mode_dims: ModeDims = eqx.field(static=True)
    loss_function: AbstractLoss
    weights: Float[Array, " m"] | None

    @classmethod
    def from_dense(
        cls,
        measurements: npt.NDArray[np.floating],
        values: Values,
        loss_function: AbstractLoss | None = None,
        *,
        weights: Values | None = None,
    ) -> Self:
        """Sensing with dense measurement tensors, one per observation.

        They may be a memory map: they are read and converted in chunks, so no second
        copy of them all is made. A gradient step reads them twice, which is its cost.
        """
        if measurements.ndim < 3:
            raise InputError(
                f"The measurements have shape {measurements.shape}; one tensor of two "
                "or more modes per observation is needed."
            )
        count, mode_dims = measurements.shape[0], measurements.shape[1:]
        loss_function = _checked(loss_function, values, count)
        dense = jnp.empty((count, math.prod(mode_dims)), dtype=float)
        rows = max(1, _CHUNK_BYTES // max(1, measurements[0].nbytes))
        for start in range(0, count, rows):
            chunk = jnp.asarray(measurements[start : start + rows], dtype=float)
            flat = _finite(chunk, start).reshape(len(chunk), -1)
            dense = _overwrite_rows(dense, flat, start)
        return cls(
            measurements=dense,
            values=as_values(values),
            mode_dims=mode_dims,
            loss_function=loss_function,
            weights=as_weights(weights),
        )

    @classmethod
    def from_factored(
        cls,
        measurements: Sequence[npt.NDArray[np.floating]],
        values: Values,
        loss_function: AbstractLoss | None = None,
        *,
        weights: Values | None = None,
    ) -> Self:
        """Sensing with measurement tensors of CP rank k, which are never formed.

        `measurements` holds, mode by mode, an array of shape (observations, mode
        dimension, k).
        """
        shapes = [np.shape(factors) for factors in measurements]
        fits = len(shapes) >= 2 and all(len(shape) == 3 for shape in shapes)
        if not fits or len({(shape[0], shape[2]) for shape in shapes}) != 1:
            raise InputError(
                f"The factored measurements have shapes {shapes}; give one array of "
                "shape (observations, mode dimension, CP rank) per mode."
            )
        loss_function = _checked(loss_function, values, shapes[0][0])
        return cls(
            measurements=tuple(
                _finite(jnp.asarray(factors, dtype=float), 0)
                for factors in measurements
            ),
            values=as_values(values),
            mode_dims=tuple(shape[1] for shape in shapes),
            loss_function=loss_function,
            weights=as_weights(weights),
        )

    def predictions(self, model: AbstractFactorization) -> Float[Array, " m"]:
        if isinstance(self.measurements, tuple):
            return model.inner_products(self.measurements)
        return self.measurements @ model.end_tensor().reshape(-1)

    def take(self, rows: Int[Array, " b"]) -> Self:
        measurements = self.measurements
        return type(self)(
            measurements=tuple(factors[rows] for factors in measurements)
            if isinstance(measurements, tuple)
            else measurements[rows],
            values=self.values[rows],
            mode_dims=self.mode_dims,
            loss_function=self.loss_function,
            weights=None if self.weights is None else self.weights[rows],
        )


def _checked(
    loss_function: AbstractLoss | None, values: Values, count: int
) -> AbstractLoss:
    if np.shape(values) != (count,):
        raise InputError(
            f"There are {count} measurement tensors but the values have shape "
            f"{np.shape(values)}; give one value per measurement."
        )
    loss_function = SquaredLoss() if loss_function is None else loss_function
    loss_function.check_values(values)
    return loss_function


@ft.partial(jax.jit, donate_argnums=0)
def _overwrite_rows(
    matrix: Float[Array, "m entries"], rows: Float[Array, "b entries"], start: int
) -> Float[Array, "m entries"]:
    return jax.lax.dynamic_update_slice_in_dim(matrix, rows, start, axis=0)


def _finite(measurements: Float[Array, "..."], start: int) -> Float[Array, "..."]:
    if not bool(jnp.isfinite(measurements).all()):
        wrong = ~np.isfinite(np.asarray(measurements)).all(
            axis=tuple(range(1, measurements.ndim))
        )
        raise InputError(
            f"Measurement tensor {start + int(np.argmax(wrong))} holds a value that is "
            "not finite; leave that measurement out."
        )
    return measurements
