"""Observations of problems, a share on each of several devices."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from rankrise._devices import divided, mesh_of_run, on_all
from rankrise.problems._contract import AbstractProblem


def with_shares(tree: Any) -> Any:
    """The tree with its arrays on all devices of the run, where it has several.

    Of the problems in it every device has some of the observations: a share of all
    arrays that have a row for each, as `take` tells.
    """
    mesh = mesh_of_run()
    if mesh is None:
        return tree

    def placed(leaf: Any) -> Any:
        return _shared(leaf, mesh) if isinstance(leaf, AbstractProblem) else leaf

    return on_all(
        jax.tree.map(placed, tree, is_leaf=lambda x: isinstance(x, AbstractProblem))
    )


def _shared(problem: AbstractProblem, mesh: Mesh) -> AbstractProblem:
    leaves, structure = jax.tree.flatten(problem)
    one, two = (_shapes(problem, rows) for rows in (1, 2))
    if not len(one) == len(two) == len(leaves):
        return problem
    parted = [
        divided(leaf, mesh) if first[:1] == (1,) and second == (2, *first[1:]) else leaf
        for leaf, first, second in zip(leaves, one, two, strict=True)
    ]
    shared: AbstractProblem = jax.tree.unflatten(structure, parted)
    return shared


def _shapes(problem: AbstractProblem, rows: int) -> list[tuple[int, ...]]:
    taken = eqx.filter_eval_shape(problem.take, jnp.zeros(rows, jnp.int32))
    return [getattr(leaf, "shape", ()) for leaf in jax.tree.leaves(taken)]
