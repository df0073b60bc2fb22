"""A factorization as one vector, in the order of `jax.flatten_util.ravel_pytree`."""

from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from rankrise.factorizations import AbstractFactorization

FloatArray = npt.NDArray[np.floating]


def flattened(model: AbstractFactorization) -> FloatArray:
    """All parameters, on the host: as arrays of JAX each step would be a program."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(model)])


def unflattened(like: AbstractFactorization, vector: FloatArray) -> Any:
    """The factorization with these parameters, in the shapes of another."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = zip(leaves, np.split(vector, ends), strict=True)
    shaped = [part.reshape(leaf.shape) for leaf, part in parts]
    return jax.tree.unflatten(structure, shaped)
