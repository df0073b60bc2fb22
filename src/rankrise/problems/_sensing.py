"""Tensor sensing: the observations are inner products with measurement tensors."""

import functools as ft
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float, Int

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.factorizations import AbstractFactorization
from rankrise.losses import AbstractLoss
from rankrise.problems._contract import (
    AbstractProblem,
    as_values,
    as_weights,
    checked_loss,
)
from rankrise.problems._loss_tree import as_tree
from rankrise.tensors import checked_weights

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

    Examples
    --------
    >>> import rankrise as rr
    >>> target = rr.synthetic.random_target((4, 4), cp_rank=1, seed=0)
    >>> measurements = rr.synthetic.gaussian_measurements((4, 4), 12, seed=0)
    >>> values = rr.synthetic.measure(target, measurements, seed=0)
    >>> problem = rr.SensingProblem.from_dense(measurements, values)
    >>> problem.observations
    12
    """

    measurements: Float[Array, "m entries"] | tuple[Float[Array, "m _ k"], ...]
    values: Float[Array, " m"]
    mode_dims: ModeDims = eqx.field(static=True)
    loss_function: AbstractLoss = eqx.field(converter=as_tree)
    weights: Float[Array, " m"] | None

    @classmethod
    def from_dense(
        cls,
        measurements: npt.NDArray[np.floating],
        values: Values,
        loss_function: AbstractLoss | None = None,
        *,
        weights: Values | None = None,
    ) -> "SensingProblem":
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
        loss_function = _loss_of(loss_function, values, count)
        weights = None if weights is None else checked_weights(weights, count)
        dense = jnp.empty((count, math.prod(mode_dims)), dtype=float)
        rows = max(1, _CHUNK_BYTES // max(1, measurements[0].nbytes))
        for start in range(0, count, rows):
            chunk = _finite(measurements[start : start + rows], start)
            dense = _overwrite_rows(dense, chunk.reshape(len(chunk), -1), start)
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
    ) -> "SensingProblem":
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
        count = shapes[0][0]
        loss_function = _loss_of(loss_function, values, count)
        weights = None if weights is None else checked_weights(weights, count)
        return cls(
            measurements=tuple(_finite(factors, 0) for factors in measurements),
            values=as_values(values),
            mode_dims=tuple(shape[1] for shape in shapes),
            loss_function=loss_function,
            weights=as_weights(weights),
        )

    @eqx.filter_jit
    def predictions(self, model: AbstractFactorization) -> Float[Array, " m"]:
        if isinstance(self.measurements, tuple):
            return model.inner_products(self.measurements)
        return self.measurements @ model.end_tensor().reshape(-1)

    def take(self, rows: Int[Array, " b"]) -> "SensingProblem":
        measurements = self.measurements
        return SensingProblem(
            measurements=tuple(factors[rows] for factors in measurements)
            if isinstance(measurements, tuple)
            else measurements[rows],
            values=self.values[rows],
            mode_dims=self.mode_dims,
            loss_function=self.loss_function,
            weights=None if self.weights is None else self.weights[rows],
        )


def _loss_of(
    loss_function: AbstractLoss | None, values: Values, count: int
) -> AbstractLoss:
    """The loss, squared by default, of values that fit it and the measurements."""
    if count == 0:
        raise InputError("There are no measurement tensors; at least one is needed.")
    if np.shape(values) != (count,):
        raise InputError(
            f"There are {count} measurement tensors but the values have shape "
            f"{np.shape(values)}; give one value per measurement."
        )
    return checked_loss(loss_function, values)


@ft.partial(jax.jit, donate_argnums=0)
def _overwrite_rows(
    matrix: Float[Array, "m entries"],
    rows: Float[Array, "b entries"],
    start: int | Int[Array, ""],
) -> Float[Array, "m entries"]:
    return jax.lax.dynamic_update_slice_in_dim(matrix, rows, start, axis=0)


def _finite(measurements: npt.NDArray[np.floating], start: int) -> Float[Array, "..."]:
    """Measurements on the device; what overflows there is refused, too."""
    with np.errstate(over="ignore"):
        converted = jnp.asarray(measurements, dtype=float)
    if not bool(jnp.isfinite(converted).all()):
        wrong = ~np.isfinite(np.asarray(converted)).all(
            axis=tuple(range(1, converted.ndim))
        )
        raise InputError(
            f"Measurement tensor {start + int(np.argmax(wrong))} holds a value that is "
            "not finite; leave that measurement out."
        )
    return converted
