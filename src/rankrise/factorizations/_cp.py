"""CP factorization: a sum of rank-one components."""

import functools as ft
import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rankrise._algebra import gram_norm, vector_norms
from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.factorizations._contract import (
    AbstractFactorization,
    Loss,
    safe_ratio,
)
from rankrise.factorizations._entries import (
    GRID_ENTRIES,
    choose_way,
    coordinate_entries,
    cp_end_tensor,
    grid_entries,
)
from rankrise.factorizations._inner_products import dense_inner_products


class CPFactorization(AbstractFactorization):
    r"""A sum of components, $\mathcal{W} = \sum_r w_r^1 \otimes \dots \otimes w_r^N$.

    The number of components only bounds the CP rank of the end tensor from above:
    the rank a run settles at is a finding, not a setting.

    Attributes
    ----------
    factor_matrices
        Mode by mode, one column per component: column $r$ of matrix $n$ is $w_r^n$.

    Examples
    --------
    >>> import jax.numpy as jnp, rankrise as rr
    >>> matrices = jnp.ones((2, 1)), 3 * jnp.ones((2, 1))
    >>> rr.factorizations.CPFactorization(matrices).end_tensor().tolist()
    [[3.0, 3.0], [3.0, 3.0]]
    """

    factor_matrices: tuple[Float[Array, "_ _"], ...]

    def __check_init__(self) -> None:
        shapes = [jnp.shape(matrix) for matrix in self.factor_matrices]
        if len(shapes) < 2 or any(len(shape) != 2 for shape in shapes):
            raise InputError(
                f"Factor matrices have shapes {shapes}; give one of shape (mode "
                "dimension, components) for each of two or more modes."
            )
        widths = [shape[1] for shape in shapes]
        if len(set(widths)) != 1:
            raise InputError(
                f"Factor matrices have {widths} columns, mode by mode; give all of "
                "them one per component."
            )

    @property
    def mode_dims(self) -> ModeDims:
        return tuple(matrix.shape[0] for matrix in self.factor_matrices)

    @property
    def components(self) -> int:
        return int(self.factor_matrices[0].shape[1])

    def entries(self, indices: Int[Array, "m order"]) -> Float[Array, " m"]:
        if choose_way(self.mode_dims, len(indices)) == "grid":
            return grid_entries(self.factor_matrices, indices)
        return coordinate_entries(self.factor_matrices, indices)

    def end_tensor(self) -> Float[Array, "..."]:
        return cp_end_tensor(self.factor_matrices)

    def inner_products(
        self, measurements: tuple[Float[Array, "m _ k"], ...]
    ) -> Float[Array, " m"]:
        count, _, width = measurements[0].shape
        entries = math.prod(self.mode_dims)
        by_grid = entries * (self.components + count * width)
        by_mode = count * width * sum(self.mode_dims) * self.components
        if entries <= GRID_ENTRIES and by_grid <= by_mode:
            return dense_inner_products(self.end_tensor(), measurements)
        products = [
            jnp.einsum("mdk,dr->mkr", factors, matrix)
            for factors, matrix in zip(measurements, self.factor_matrices, strict=True)
        ]
        return ft.reduce(jnp.multiply, products).sum(axis=(1, 2))

    def component_norms(self) -> Float[Array, " components"]:
        norms = [vector_norms(matrix) for matrix in self.factor_matrices]
        return ft.reduce(jnp.multiply, norms)

    def normalized(
        self,
    ) -> tuple[Float[Array, " components"], tuple[Float[Array, "_ components"], ...]]:
        r"""Component norms $\sigma_r$ and unit vectors $\hat w_r^n$ as matrix columns.

        A vector that is exactly zero stays zero.
        """
        units = tuple(
            safe_ratio(matrix, vector_norms(matrix)[None, :])
            for matrix in self.factor_matrices
        )
        return self.component_norms(), units

    def parameter_norms(self) -> Float[Array, " groups"]:
        squares = [jnp.sum(matrix**2, axis=0) for matrix in self.factor_matrices]
        return jnp.sqrt(ft.reduce(jnp.add, squares))

    def unbalancedness(self) -> Float[Array, ""]:
        r"""$\max_{r,n,m} | \|w_r^n\|^2 - \|w_r^m\|^2 |$.

        Razin et al. (2021), Definition 2.
        """
        # Not squares of norms: a root has no derivative at a component that is zero.
        squares = jnp.stack([jnp.sum(w * w, axis=0) for w in self.factor_matrices])
        return jnp.max(jnp.max(squares, axis=0) - jnp.min(squares, axis=0))

    def pull(self, loss: Loss) -> Float[Array, " components"]:
        r"""Pull on every normalized component (Razin et al. 2021, Theorem 1).

        $\gamma_r = \langle -\nabla\mathcal{L}(\mathcal{W}_e),
        \otimes_n \hat w_r^n \rangle$.

        The end tensor's gradient is not formed: since the component is linear in
        every vector, $\langle \partial\phi/\partial w_r^1, w_r^1 \rangle =
        -\gamma_r \sigma_r$.
        """
        gradient = eqx.filter_grad(loss)(self)
        slope = jnp.sum(gradient.factor_matrices[0] * self.factor_matrices[0], axis=0)
        return -safe_ratio(slope, self.component_norms())

    def frobenius_norm(self) -> Float[Array, ""]:
        entries = math.prod(self.mode_dims)
        if entries <= min(GRID_ENTRIES, self.components * sum(self.mode_dims)):
            return jnp.sqrt(jnp.sum(self.end_tensor() ** 2))
        return gram_norm(self.factor_matrices)
