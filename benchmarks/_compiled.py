"""Steps inside the compiled loop the solvers use, and matrix products in one like it."""

import functools as ft
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from _instance import LEARNING_RATE, FactorMatrices, Instance
from _timing import Case, clocked
from jaxtyping import Array, Float, Int

from rankrise._algebra import balanced_split, khatri_rao
from rankrise.data import Observations
from rankrise.factorizations import AbstractFactorization, CPFactorization, DenseTensor
from rankrise.problems import (
    AbstractLoss,
    AbstractProblem,
    CompletionProblem,
    SquaredLoss,
)
from rankrise.solvers import GradientDescent, solve
from rankrise.trajectories import SaveAt, TrainLoss


class GatheredRows(AbstractProblem):
    """Completion the usual way: rows of the factor matrices, multiplied and summed."""

    indices: Int[Array, "m order"]
    values: Float[Array, " m"]
    mode_dims: tuple[int, ...]
    loss_function: AbstractLoss
    weights: None = None

    def predictions(self, model: AbstractFactorization) -> Float[Array, " m"]:
        columns = self.indices.T
        rows = [w[i] for w, i in zip(model.factor_matrices, columns, strict=True)]
        return ft.reduce(jnp.multiply, rows).sum(axis=1)

    def take(self, rows: Int[Array, " b"]) -> "GatheredRows":
        raise NotImplementedError


class KhatriRaoOnly(GatheredRows):
    """A loss that takes the Khatri-Rao products of both halves, and nothing else."""

    def loss(self, model: AbstractFactorization) -> Float[Array, ""]:
        split = balanced_split(model.mode_dims)
        matrices = model.factor_matrices
        halves = khatri_rao(matrices[:split]), khatri_rao(matrices[split:])
        # The products themselves, as a matrix product needs them.
        left, right = jax.lax.optimization_barrier(halves)
        return (jnp.sum(left * left) + jnp.sum(right * right)) / 2


class UpdateOnly(GatheredRows):
    """A loss whose gradient is the parameters: only the update and the loop are left."""

    def loss(self, model: AbstractFactorization) -> Float[Array, ""]:
        return sum(
            (jnp.sum(w * w) for w in model.factor_matrices), jnp.zeros(())
        ) / 2


def completion(instance: Instance) -> CompletionProblem:
    """The instance as a problem of rankrise."""
    return CompletionProblem.from_observations(
        Observations.from_coordinates(
            instance.indices, instance.values, instance.mode_dims
        )
    )


def variant(kind: type[GatheredRows], instance: Instance) -> GatheredRows:
    """The instance as another problem."""
    return kind(
        jnp.asarray(instance.indices),
        jnp.asarray(instance.values),
        instance.mode_dims,
        SquaredLoss(),
    )


def start(factor_matrices: FactorMatrices) -> CPFactorization:
    """A factorization to begin with."""
    return CPFactorization(tuple(map(jnp.asarray, factor_matrices)))


def random_tensor(instance: Instance) -> DenseTensor:
    """A tensor of the same shape, with no factors."""
    rng = np.random.default_rng(1)
    return DenseTensor(jnp.asarray(rng.standard_normal(instance.mode_dims), float))


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
            save_at=SaveAt.linear(1),
            observables=(TrainLoss(),),
            throw=True,  # a run that diverged took fewer steps
        )
        return float(trajectory.seconds_run)

    return Case(seconds, runs=len(models))


def loss_and_gradient(
    problem: AbstractProblem, factor_matrices: FactorMatrices
) -> tuple[float, FactorMatrices]:
    """What a step of the compiled loop follows."""
    loss, gradient = jax.jit(jax.value_and_grad(problem.loss))(start(factor_matrices))
    return float(loss), tuple(map(np.asarray, gradient.factor_matrices))


def formed_bytes(
    problem: AbstractProblem, models: Sequence[AbstractFactorization]
) -> int:
    """Memory a compiled step takes beside its inputs and results, all runs together."""
    solver = GradientDescent(LEARNING_RATE)
    step = jax.vmap(lambda model: solver.step(problem, model, None).model)
    if len(models) == 1:
        compiled = jax.jit(lambda model: solver.step(problem, model, None).model)
        lowered = compiled.lower(models[0])
    else:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
        lowered = jax.jit(step).lower(stacked)
    return int(lowered.compile().memory_analysis().temp_size_in_bytes)


def product_cases(instance: Instance) -> dict[str, Case]:
    """Matrix products with as many operations as the products of one step.

    Going forward a step multiplies the two halves; going back, either half by the
    gradient: three products of the same size. Four ways to do that much, and the
    fastest of them is the floor.
    """
    split = balanced_split(instance.mode_dims)
    rows = int(np.prod(instance.mode_dims[:split]))
    columns = int(np.prod(instance.mode_dims[split:]))
    components = instance.starts[0][0].shape[1]
    rng = np.random.default_rng(2)

    def matrix(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype("f4")

    left, right = matrix(rows, components), matrix(columns, components)
    # Orthonormal columns or rows keep what is multiplied over and over of one size.
    turn = np.linalg.qr(matrix(max(rows, columns), min(rows, columns)))[0]
    turn = np.ascontiguousarray(turn if rows >= columns else turn.T)
    wide, tall = matrix(rows, 3 * components), matrix(3 * components, columns)
    return {
        "three products, NumPy": Case(clocked(_numpy_three(left, right, turn))),
        "one product, NumPy": Case(clocked(_numpy_one(wide, tall))),
        "three products, JAX": Case(clocked(_jax_three(left, right, turn))),
        "one product, JAX": Case(clocked(_jax_one(wide, tall))),
    }


def _numpy_three(
    left: np.ndarray, right: np.ndarray, turn: np.ndarray
) -> Callable[[int], None]:
    def take_steps(count: int) -> None:
        for _ in range(count):
            left @ right.T
            turn @ right
            turn.T @ left

    return take_steps


def _numpy_one(wide: np.ndarray, tall: np.ndarray) -> Callable[[int], None]:
    def take_steps(count: int) -> None:
        for _ in range(count):
            wide @ tall

    return take_steps


def _jax_three(
    left: np.ndarray, right: np.ndarray, turn: np.ndarray
) -> Callable[[int], object]:
    def body(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        left, right, _ = carry
        return turn @ right, turn.T @ left, left @ right.T

    return _compiled_loop(body, (left, right, left @ right.T), turn)
