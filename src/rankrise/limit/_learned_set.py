r"""The components learned so far, as a small factorization with room for more.

Its width is a multiple of four, so that few plateaus compile anew: unused columns are
exactly zero, a stationary point of their own, and nothing moves them.
"""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from rankrise._typing import ModeDims
from rankrise.factorizations import (
    AbstractFactorization,
    CPFactorization,
    DeepMatrixFactorization,
)

FloatArray = npt.NDArray[np.floating]

_WIDTHS = (8, 16, 32)


@dataclass(frozen=True, eq=False)
class LearnedComponents:
    r"""Columns of factor matrices.

    Attributes
    ----------
    matrices
        Mode by mode; the first columns are the learned components.
    places
        What each is among the components of the start: its column, or for order 2,
        where components share what is learned, a direction among all columns.
    """

    matrices: tuple[FloatArray, ...]
    places: tuple[FloatArray, ...]

    @classmethod
    def none(cls, mode_dims: ModeDims, dtype: npt.DTypeLike) -> "LearnedComponents":
        """Nothing learned."""
        return cls(tuple(np.zeros((d, _WIDTHS[0]), dtype) for d in mode_dims), ())

    @property
    def count(self) -> int:
        """How many components are learned."""
        return len(self.places)

    @property
    def factors(self) -> int:
        """How many factors a component is a product of."""
        return len(self.matrices)

    @property
    def model(self) -> CPFactorization:
        """The factorization, zero columns included."""
        return CPFactorization(tuple(jnp.asarray(matrix) for matrix in self.matrices))

    def moved_to(self, model: AbstractFactorization) -> "LearnedComponents":
        """The same components elsewhere."""
        assert isinstance(model, CPFactorization)
        matrices = tuple(np.asarray(matrix) for matrix in model.factor_matrices)
        return replace(self, matrices=matrices)

    def joined_by(
        self, units: tuple[FloatArray, ...], place: FloatArray, sizes: tuple[float, ...]
    ) -> "LearnedComponents":
        """One more component, with vectors of these sizes."""
        matrices = self.with_room().matrices
        for matrix, unit, size in zip(matrices, units, sizes, strict=True):
            matrix[:, self.count] = size * unit
        return LearnedComponents(matrices, (*self.places, place))

    def with_room(self) -> "LearnedComponents":
        """The same, wide enough for one more."""
        wider = [_with_room(matrix, self.count + 1, (1,)) for matrix in self.matrices]
        return replace(self, matrices=tuple(wider))

    def without(self, component: int) -> "LearnedComponents":
        """The others; the last moves to the place that becomes free."""
        matrices = []
        for matrix in self.matrices:
            others = np.delete(matrix, component, axis=1)
            matrices.append(np.pad(others, ((0, 0), (0, 1))))
        places = self.places[:component] + self.places[component + 1 :]
        return LearnedComponents(tuple(matrices), places)

    def balanced(self) -> "LearnedComponents":
        """The same end tensor with balanced components, nearest to these."""
        if self.factors == 2:
            left, right = self.matrices
            return replace(self, matrices=_balanced_pair(left, right, self.count))
        sizes = [np.linalg.norm(matrix, axis=0) for matrix in self.matrices]
        share = np.prod(sizes, axis=0) ** (1 / self.factors)
        matrices = tuple(
            matrix * np.divide(share, size, out=np.zeros_like(size), where=size > 0)
            for matrix, size in zip(self.matrices, sizes, strict=True)
        )
        return replace(self, matrices=matrices)

    def norms(self) -> FloatArray:
        """Component norms; for order 2, singular values."""
        if len(self.matrices) == 2:
            left, right = self.matrices
            return _singular_values(left @ right.T, self.count)
        learned = [matrix[:, : self.count] for matrix in self.matrices]
        return np.prod([np.linalg.norm(w, axis=0) for w in learned], axis=0)

    def active(self) -> npt.NDArray[np.integer]:
        """Which parameters of `model` belong to learned components."""
        return _nonzero(
            [(m.shape, (slice(None), slice(self.count))) for m in self.matrices]
        )

    def whole(self, start: AbstractFactorization) -> CPFactorization:
        """In the shapes of the start: what is not learned is zero."""
        places = (
            np.stack(self.places) if self.places else np.zeros((0, start.components))
        )
        return CPFactorization(
            tuple(
                jnp.asarray(matrix[:, : self.count] @ places.astype(matrix.dtype))
                for matrix in self.matrices
            )
        )


@dataclass(frozen=True, eq=False)
class LearnedLayers:
    """Layers of a deep matrix factorization, one hidden unit a component.

    Attributes
    ----------
    count
        How many components are learned: the first hidden units.
    """

    layers: tuple[FloatArray, ...]
    count: int

    @classmethod
    def none(cls, start: DeepMatrixFactorization) -> "LearnedLayers":
        """Nothing learned."""
        rows, columns = start.mode_dims
        widths = [columns, *[_WIDTHS[0]] * (start.depth - 1), rows]
        dtype = start.layers[0].dtype
        shapes = zip(widths[1:], widths[:-1], strict=True)
        return cls(tuple(np.zeros(shape, dtype) for shape in shapes), 0)

    @property
    def factors(self) -> int:
        """How many factors a component is a product of."""
        return len(self.layers)

    @property
    def model(self) -> DeepMatrixFactorization:
        """The factorization, zero hidden units included."""
        return DeepMatrixFactorization(tuple(jnp.asarray(w) for w in self.layers))

    def moved_to(self, model: AbstractFactorization) -> "LearnedLayers":
        """The same components elsewhere."""
        assert isinstance(model, DeepMatrixFactorization)
        return replace(self, layers=tuple(np.asarray(w) for w in model.layers))

    def joined_by(
        self, units: tuple[FloatArray, ...], place: FloatArray, sizes: tuple[float, ...]
    ) -> "LearnedLayers":
        """One more component; `units` are its left and right singular vectors."""
        unit, layers = self.count, self.with_room().layers
        layers[0][unit] = sizes[0] * units[1]
        for layer, size in zip(layers[1:-1], sizes[1:-1], strict=True):
            layer[unit, unit] = size
        layers[-1][:, unit] = sizes[-1] * units[0]
        return LearnedLayers(layers, unit + 1)

    def with_room(self) -> "LearnedLayers":
        """The same, wide enough for one more."""
        last = len(self.layers) - 1
        layers = []
        for depth, layer in enumerate(self.layers):
            axes = (0,) if depth == 0 else (1,) if depth == last else (0, 1)
            layers.append(_with_room(layer, self.count + 1, axes))
        return replace(self, layers=tuple(layers))

    def balanced(self) -> "LearnedLayers":
        """The same product with balanced layers: a hidden unit a singular pair."""
        product = np.asarray(self.model.end_tensor())
        left, values, right = np.linalg.svd(product, full_matrices=False)
        count = self.count
        share = values[:count] ** (1 / self.factors)
        layers = tuple(np.zeros_like(layer) for layer in self.layers)
        layers[0][:count] = share[:, None] * right[:count]
        for layer in layers[1:-1]:
            layer[:count, :count] = np.diag(share)
        layers[-1][:, :count] = left[:, :count] * share
        return replace(self, layers=layers)

    def norms(self) -> FloatArray:
        """Singular values of the product."""
        return _singular_values(np.asarray(self.model.end_tensor()), self.count)

    def active(self) -> npt.NDArray[np.integer]:
        """Which parameters of `model` belong to learned components."""
        return _nonzero([(w.shape, part) for w, part in self._parts()])

    def whole(self, start: AbstractFactorization) -> DeepMatrixFactorization:
        """In the shapes of the start: what is not learned is zero."""
        assert isinstance(start, DeepMatrixFactorization)
        layers = []
        for (layer, part), like in zip(self._parts(), start.layers, strict=True):
            whole = np.zeros(like.shape, layer.dtype)
            whole[part] = layer[part]
            layers.append(jnp.asarray(whole))
        return DeepMatrixFactorization(tuple(layers))

    def _parts(self) -> list[tuple[FloatArray, tuple[slice, slice]]]:
        all_, some, last = slice(None), slice(self.count), len(self.layers) - 1
        return [
            (layer, (all_ if depth == last else some, all_ if depth == 0 else some))
            for depth, layer in enumerate(self.layers)
        ]


LearnedSet = LearnedComponents | LearnedLayers


def _with_room(matrix: FloatArray, count: int, axes: tuple[int, ...]) -> FloatArray:
    """A copy, widened along the axes to the next width that holds so many."""
    width = next((w for w in _WIDTHS if w >= count), -(-count // 32) * 32)
    grow = [(0, max(0, width - matrix.shape[a]) if a in axes else 0) for a in (0, 1)]
    return np.pad(matrix, grow)


def _balanced_pair(
    left: FloatArray, right: FloatArray, count: int
) -> tuple[FloatArray, FloatArray]:
    r"""Matrices with equal Gram matrices and the same product $A B^\top$."""
    outer, values, inner = np.linalg.svd(left @ right.T, full_matrices=False)
    root = np.sqrt(values[:count])
    rows, columns = outer[:, :count] * root, inner[:count].T * root
    # Of all rotations of the pair, the one nearest to what came.
    turn = rows.T @ left[:, :count] + columns.T @ right[:, :count]
    first, _, second = np.linalg.svd(turn)
    found = np.zeros_like(left), np.zeros_like(right)
    found[0][:, :count] = rows @ first @ second
    found[1][:, :count] = columns @ first @ second
    return found


def _singular_values(matrix: FloatArray, count: int) -> FloatArray:
    return np.linalg.svd(matrix, compute_uv=False)[:count]


def _nonzero(
    parts: list[tuple[tuple[int, ...], tuple[slice, slice]]],
) -> npt.NDArray[np.integer]:
    masks = []
    for shape, part in parts:
        mask = np.zeros(shape, dtype=bool)
        mask[part] = True
        masks.append(mask.reshape(-1))
    return np.flatnonzero(np.concatenate(masks))
