r"""Second derivatives of the loss by the parameters of a factorization.

The scaling of factors against one another changes nothing, so there are always
directions without curvature: systems are solved in the others.
"""

import functools as ft
from abc import ABC, abstractmethod
from typing import Any

import equinox as eqx
import jax
import numpy as np
import numpy.typing as npt
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, minres
from threadpoolctl import ThreadpoolController

from rankrise._compiling import lowered
from rankrise.factorizations import AbstractFactorization
from rankrise.limit._flat import flattened
from rankrise.problems import AbstractProblem

FloatArray = npt.NDArray[np.floating]
Active = npt.NDArray[np.integer]

# Rows of a dense Hessian at a time: a program of one is no faster than one of few.
_ROWS = 8
# With more parameters than this, products with vectors are cheaper than the Hessian.
_DENSE_PARAMETERS = 600
_KRYLOV_STEPS = 400
_LANCZOS_TOLERANCE = 1e-4


class AbstractHessian(ABC):
    """The Hessian by some parameters, at one point.

    Attributes
    ----------
    smallest, lowest
        The smallest eigenvalue over the largest in size, and its eigenvector.
    evaluations
        Gradients of the loss it took: a row or a product counts as one.
    """

    smallest: float
    lowest: FloatArray
    evaluations: int

    @abstractmethod
    def solve(self, gradient: FloatArray) -> FloatArray:
        """The shortest vector that the Hessian maps to the gradient."""


def hessian_at(
    problem: AbstractProblem, model: AbstractFactorization, active: Active, cut: float
) -> AbstractHessian:
    """The Hessian by the active parameters, formed where they are few.

    Parameters
    ----------
    active
        Which parameters, by `ravel_pytree`.
    cut
        Below this share of the largest, an eigenvalue counts as zero.
    """
    if len(active) <= _DENSE_PARAMETERS:
        return DenseHessian(problem, model, active, cut)
    return KrylovHessian(problem, model, active)


def lowered_slopes(problem: AbstractProblem, model: AbstractFactorization) -> Any:
    """The program of `slopes` for a factorization of this size."""
    return lowered(_slopes, problem, model, _as_row(flattened(model)))


class DenseHessian(AbstractHessian):
    """Formed, and taken apart into eigenvectors."""

    def __init__(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        active: Active,
        cut: float,
    ) -> None:
        matrix = _dense(problem, model, active)
        # Threads that wait for one another gain little at this size, and where other
        # programs share the cores they take up to fifty times as long.
        with _blas().limit(limits=1, user_api="blas"):
            values, self._vectors = np.linalg.eigh(matrix)
        largest = np.abs(values).max()
        curved = np.abs(values) > cut * largest
        self._inverse = np.where(curved, 1 / np.where(curved, values, 1), 0)
        self.smallest = float(values[0] / largest) if largest > 0 else 0.0
        self.lowest = self._vectors[:, 0]
        self.evaluations = len(active)

    def solve(self, gradient: FloatArray) -> FloatArray:
        """The shortest vector that the Hessian maps to the gradient."""
        step: FloatArray = self._vectors @ (
            self._inverse * (self._vectors.T @ gradient)
        )
        return step


class KrylovHessian(AbstractHessian):
    """Known by its products with vectors: MINRES solves, Lanczos finds eigenvalues."""

    def __init__(
        self, problem: AbstractProblem, model: AbstractFactorization, active: Active
    ) -> None:
        self._problem, self._model, self._active = problem, model, active
        self._size = sum(leaf.size for leaf in jax.tree.leaves(model))
        self.evaluations = 0
        count = len(active)
        self._operator = LinearOperator((count, count), self._times, dtype=np.float64)
        # Lanczos begins at random by default, and a result must not.
        begin = np.random.default_rng(0).standard_normal(count)
        largest, _ = self._extreme("LM", begin)
        smallest, self.lowest = self._extreme("SA", begin)
        self.smallest = smallest / abs(largest) if largest else 0.0

    def solve(self, gradient: FloatArray) -> FloatArray:
        """The shortest vector that the Hessian maps to the gradient, nearly."""
        step, _ = minres(self._operator, gradient, rtol=1e-6, maxiter=_KRYLOV_STEPS)
        return np.asarray(step, dtype=gradient.dtype)

    def _times(self, vector: FloatArray) -> FloatArray:
        whole = np.zeros(self._size, self._problem.values.dtype)
        whole[self._active] = vector.reshape(-1)
        self.evaluations += 1
        _, product = slopes(self._problem, self._model, whole)
        return product.astype(np.float64)[self._active]

    def _extreme(self, which: str, begin: FloatArray) -> tuple[float, FloatArray]:
        try:
            values, vectors = eigsh(
                self._operator,
                k=1,
                which=which,
                v0=begin,
                tol=_LANCZOS_TOLERANCE,
                maxiter=_KRYLOV_STEPS,
            )
        except ArpackNoConvergence:
            # Slow among eigenvalues that crowd together, as they do at zero.
            return float("nan"), np.zeros_like(begin)
        return float(values[0]), vectors[:, 0]


@ft.cache
def _blas() -> ThreadpoolController:
    # Looks through all loaded libraries, which takes longer than a decomposition.
    return ThreadpoolController()


def _dense(
    problem: AbstractProblem, model: AbstractFactorization, active: Active
) -> FloatArray:
    """Second derivatives by the active parameters."""
    square = np.empty((len(active), len(active)), problem.values.dtype)
    units = np.zeros((_ROWS, flattened(model).size), square.dtype)
    for first in range(0, len(active), _ROWS):
        chosen = active[first : first + _ROWS]
        units[:] = 0
        units[np.arange(len(chosen)), chosen] = 1
        _, rows = _slopes(problem, model, units)
        square[first : first + _ROWS] = np.asarray(rows)[: len(chosen), active]
    return (square + square.T) / 2


def slopes(
    problem: AbstractProblem, model: AbstractFactorization, vector: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The gradient, and the Hessian times a vector, by the program of its rows."""
    gradient, products = _slopes(problem, model, _as_row(vector))
    return np.asarray(gradient), np.asarray(products)[0]


def _as_row(vector: FloatArray) -> FloatArray:
    """The first of as many rows as the program takes, the others zero."""
    vectors = np.zeros((_ROWS, vector.size), vector.dtype)
    vectors[0] = vector
    return vectors


@eqx.filter_jit
def _slopes(
    problem: AbstractProblem,
    model: AbstractFactorization,
    vectors: Any,
) -> tuple[Float[Array, " p"], Float[Array, "rows p"]]:
    flat, unravel = ravel_pytree(model)
    gradient = jax.grad(lambda flat: problem.loss(unravel(flat)))

    def along(vector: Array) -> tuple[Array, Array]:
        return jax.jvp(gradient, (flat,), (vector,))

    # The gradient is the same along all vectors, so it is no part of the batch.
    return jax.vmap(along, out_axes=(None, 0))(vectors)
