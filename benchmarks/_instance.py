"""The one instance every version of a gradient step works on, and what is right."""

import functools as ft
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankrise.synthetic import sample_indices

FloatArray = npt.NDArray[np.floating]
FactorMatrices = tuple[FloatArray, ...]

# Small enough that no number of steps a benchmark takes leaves the finite numbers.
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Sizes:
    """How large the instance is, and how long it is measured.

    Attributes
    ----------
    runs
        How many runs are batched where several are.
    repeats, seconds
        Every version is timed so many times, about so long each.
    """

    mode_dims: tuple[int, ...] = (10, 10, 10, 10)
    components: int = 1000
    observations: int = 2000
    runs: int = 3
    repeats: int = 9
    seconds: float = 0.3


@dataclass(frozen=True)
class Instance:
    """Observed entries, and a start for each run, in float32."""

    indices: npt.NDArray[np.integer]
    values: FloatArray
    mode_dims: tuple[int, ...]
    starts: tuple[FactorMatrices, ...]

    @classmethod
    def random(cls, sizes: Sizes, seed: int = 0) -> "Instance":
        """Entries of order one on both sides, so that every part of a step counts."""
        rng = np.random.default_rng(seed)
        indices = sample_indices(sizes.mode_dims, sizes.observations, seed=seed)
        scale = sizes.components ** (-0.5 / len(sizes.mode_dims))
        starts = tuple(
            tuple(
                (scale * rng.standard_normal((dim, sizes.components))).astype("f4")
                for dim in sizes.mode_dims
            )
            for _ in range(sizes.runs)
        )
        values = rng.standard_normal(len(indices)).astype("f4")
        return cls(indices, values, sizes.mode_dims, starts)


def reference(
    instance: Instance, factor_matrices: FactorMatrices
) -> tuple[float, FactorMatrices]:
    """Mean squared residual and its gradient in float64, written out."""
    matrices = [matrix.astype("f8") for matrix in factor_matrices]
    columns = instance.indices.T
    rows = [matrix[i] for matrix, i in zip(matrices, columns, strict=True)]
    residuals = ft.reduce(np.multiply, rows).sum(axis=1) - instance.values
    slope = 2 * residuals / len(residuals)
    gradient = [np.zeros_like(matrix) for matrix in matrices]
    for mode, column in enumerate(columns):
        others = [row for other, row in enumerate(rows) if other != mode]
        terms = ft.reduce(np.multiply, others) * slope[:, None]
        np.add.at(gradient[mode], column, terms)
    return float(np.mean(residuals**2)), tuple(gradient)


def errors(
    found: tuple[float, FactorMatrices], right: tuple[float, FactorMatrices]
) -> tuple[float, float]:
    """Relative errors of a loss, and of a gradient in the Frobenius norm."""
    difference = sum(
        float(np.sum((a - b) ** 2)) for a, b in zip(found[1], right[1], strict=True)
    )
    size = sum(float(np.sum(matrix**2)) for matrix in right[1])
    return abs(found[0] / right[0] - 1), (difference / size) ** 0.5
