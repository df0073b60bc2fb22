"""Steps inside the compiled loop the solvers use, and matrix products in another."""

import functools as ft
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from _instance import LEARNING_RATE, FactorMatrices, FloatArray, Instance
from _timing import Case, clocked
from rankrise._algebra import balanced_split, khatri_rao
from rankrise.factorizations import AbstractFactorization, CPFactorization, DenseTensor
from rankrise.factorizations._entries import coordinate_entries
from rankrise.losses import AbstractLoss, SquaredLoss
from rankrise.problems import AbstractProblem, CompletionProblem
from rankrise.solvers import GradientDescent, solve
from rankrise.tensors import Observations
from rankrise.trajectories import Recording, SaveAt


class Itself(AbstractLoss):
    """The prediction, whatever was observed: for problems that ask something else."""

    def __call__(
        self, predictions: Float[Array, " m"], values: Float[Array, " n"]
    ) -> Float[Array, " m"]:
        return predictions


class Variant(AbstractProblem):
    """Completion of the instance, but for what the predictions are."""

    indices: Int[Array, "m order"]
    values: Float[Array, " m"]
    mode_dims: tuple[int, ...] = eqx.field(static=True)
    loss_function: AbstractLoss = eqx.field(default=SquaredLoss(), static=True)
    weights: None = None

    def take(self, rows: Int[Array, " b"]) -> "Variant":
        raise NotImplementedError


class GatheredRows(Variant):
    """Completion the usual way: rows of the factor matrices, multiplied and summed."""

    def predictions(self, model: AbstractFactorization) -> Float[Array, " m"]:
        columns = self.indices.T
        rows = [w[i] for w, i in zip(model.factor_matrices, columns, strict=True)]
        return ft.reduce(jnp.multiply, rows).sum(axis=1)


class GatheredBlocks(Variant):
    """The same in blocks that fit the cache, as rankrise does for large tensors."""

    def predictions(self, model: AbstractFactorization) -> Float[Array, " m"]:
        return coordinate_entries(model.factor_matrices, self.indices)


class KhatriRaoOnly(Variant):
    """A loss that takes the Khatri-Rao products of both halves, and nothing else."""

    loss_function: AbstractLoss = eqx.field(default=Itself(), static=True)

    def predictions(self, model: AbstractFactorization) -> Float[Array, " 1"]:
        split = balanced_split(model.mode_dims)
        matrices = model.factor_matrices
        halves = khatri_rao(matrices[:split]), khatri_rao(matrices[split:])
        # The products themselves, as a matrix product needs them.
        left, right = jax.lax.optimization_barrier(halves)
        return (jnp.sum(left * left) + jnp.sum(right * right))[None] / 2


class UpdateOnly(Variant):
    """A loss whose gradient is the parameters: what is left is update and loop."""

    loss_function: AbstractLoss = eqx.field(default=Itself(), static=True)

    def predictions(self, model: AbstractFactorization) -> Float[Array, " 1"]:
        squares = [jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(model)]
        return sum(squares)[None] / 2


def completion(instance: Instance) -> CompletionProblem:
    """The instance as a problem of rankrise."""
    return CompletionProblem.from_observations(
        Observations.from_coordinates(
            instance.indices, instance.values, instance.mode_dims
        )
    )


def variant(kind: type[Variant], instance: Instance) -> Variant:
    """The instance as another problem."""
    return kind(
        jnp.asarray(instance.indices),
        jnp.asarray(instance.values),
        instance.mode_dims,
    )


def start(factor_matrices: FactorMatrices) -> CPFactorization:
    """A factorization to begin with."""
    return CPFactorization(tuple(map(jnp.asarray, factor_matrices)))


def solver_case(
    problem: AbstractProblem, models: Sequence[AbstractFactorization]
) -> Case:
    """Gradient descent by `solve`, which says itself how long its loop took."""

    def seconds(steps: int) -> float:
        trajectory = solve(
            problem,
            models[0] if len(models) == 1 else models,
            GradientDescent(LEARNING_RATE),
            max_steps=steps,
            recording=Recording(save_at=SaveAt.linear(1), observables=("loss",)),
            throw=True,  # a run that diverged took fewer steps
        )
        return float(trajectory.seconds_run)

    return Case(seconds, runs=len(models))


def losses_and_gradients(
    problem: AbstractProblem, starts: Sequence[FactorMatrices]
) -> list[tuple[float, FactorMatrices]]:
    """What a step of the compiled loop follows, from each of the starts."""
    compiled = jax.jit(jax.value_and_grad(problem.loss))
    found = []
    for factor_matrices in starts:
        loss, gradient = compiled(start(factor_matrices))
        slopes = tuple(map(np.asarray, gradient.factor_matrices))
        found.append((float(loss), slopes))
    return found


def formed_bytes(
    problem: AbstractProblem, models: Sequence[AbstractFactorization]
) -> int:
    """Memory a compiled step takes beside its inputs and results, all runs together."""

    def step(model: AbstractFactorization) -> AbstractFactorization:
        return (
            GradientDescent(LEARNING_RATE)
            .step(problem, model, None, jnp.asarray(jnp.inf))
            .model
        )

    if len(models) == 1:
        lowered = jax.jit(step).lower(models[0])
    else:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
        lowered = jax.jit(jax.vmap(step)).lower(stacked)
    return int(lowered.compile().memory_analysis().temp_size_in_bytes)


def part_cases(instance: Instance) -> dict[str, Case]:
    """Parts of a step, each in the solvers' loop with an update of what it works on."""
    model = start(instance.starts[0])
    tensor = DenseTensor(model.end_tensor())
    update = variant(UpdateOnly, instance)
    return {
        "update": solver_case(update, [model]),
        "tensor update": solver_case(update, [tensor]),
        "Khatri-Rao and update": solver_case(variant(KhatriRaoOnly, instance), [model]),
        "gather and tensor update": solver_case(completion(instance), [tensor]),
    }


def product_cases(instance: Instance) -> dict[str, Case]:
    """Matrix products with as many operations as the products of one step.

    Going forward a step multiplies the two halves; going back, either half by the
    gradient: three products of the same size. The fastest way to do that much is the
    floor.
    """
    split = balanced_split(instance.mode_dims)
    rows = math.prod(instance.mode_dims[:split])
    columns = math.prod(instance.mode_dims[split:])
    components = instance.starts[0][0].shape[1]
    rng = np.random.default_rng(2)

    def matrix(*shape: int) -> FloatArray:
        return rng.standard_normal(shape).astype("f4")

    left, right = matrix(rows, components), matrix(columns, components)
    # Orthonormal, so that what is multiplied over and over keeps its size.
    turn = np.linalg.qr(matrix(max(rows, columns), min(rows, columns)))[0]
    turn = np.ascontiguousarray(turn if rows >= columns else turn.T)
    wide, tall = matrix(rows, 3 * components), matrix(3 * components, columns)
    three = [(left, right.T), (turn, right), (turn.T, left)]
    return {
        "three products, NumPy": Case(clocked(_numpy_products(three))),
        "one product, NumPy": Case(clocked(_numpy_products([(wide, tall)]))),
        "three products, JAX": Case(clocked(_jax_products(left, right, turn))),
    }


def _numpy_products(
    pairs: Sequence[tuple[FloatArray, FloatArray]],
) -> Callable[[int], None]:
    kept = [(left, right, left @ right) for left, right in pairs]

    def take_steps(count: int) -> None:
        for _ in range(count):
            for left, right, out in kept:
                np.matmul(left, right, out=out)

    return take_steps


def _jax_products(
    left: FloatArray, right: FloatArray, turn: FloatArray
) -> Callable[[int], object]:
    @jax.jit
    def loop(count: Array, turn: Array, carry: tuple[Array, ...]) -> Any:
        def body(_: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
            left, right, _ = carry
            return turn @ right, turn.T @ left, left @ right.T

        return jax.lax.fori_loop(0, count, body, carry)

    start = tuple(map(jnp.asarray, (left, right, left @ right.T)))

    def take_steps(count: int) -> object:
        return jax.block_until_ready(loop(jnp.asarray(count), jnp.asarray(turn), start))

    return take_steps
