"""What every solver offers to the loop."""

import math
from abc import abstractmethod
from typing import Any, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem

State = TypeVar("State")


class Step(NamedTuple):
    """One step of a solver. What a rule does not say has a default.

    Attributes
    ----------
    model, state
        After the step.
    loss
        Before the step: the loss whose gradient was followed.
    duration
        How far the step moves on the clock of gradient flow (the learning rate);
        NaN where the rule has no such reading.
    gradient_norm
        Norm of the gradient by all parameters, before the step; NaN if not known.
    evaluations
        Gradients of the loss that the step took.
    rejected
        Attempts at the step that were too long and were taken again, shorter.
    stalled
        Whether no step is short enough; the model is the one before the step.
    """

    model: Any
    state: Any
    loss: Float[Array, ""]
    duration: float | Float[Array, ""] = math.nan
    gradient_norm: float | Float[Array, ""] = math.nan
    evaluations: int | Int[Array, ""] = 1
    rejected: int | Int[Array, ""] = 0
    stalled: bool | Bool[Array, ""] = False


class AbstractSolver(eqx.Module, Generic[State]):
    """A rule that improves a factorization step by step; `solve` owns the loop.

    Floats among its fields, and those that its functions close over, reach `init` and
    `step` as arrays in the precision of the problem, so that runs which differ in them
    alone share one compilation. A rule whose Python code asks for their values gets
    floats, and is compiled for each.
    """

    def init(self, problem: AbstractProblem, model: AbstractFactorization) -> State:
        """The state before the first step, whose leaves are arrays; none by default."""
        none: Any = None
        return none

    @abstractmethod
    def step(
        self,
        problem: AbstractProblem,
        model: AbstractFactorization,
        state: State,
        remaining: Float[Array, ""],
    ) -> Step:
        """One step. Runs compiled, under `vmap` where there are several runs.

        `remaining` is the time to the next save, infinite where saves are at steps: a
        rule that is free to choose its step size does not go beyond it.
        """


def tree_norm(tree: Any) -> Float[Array, ""]:
    """Euclidean norm of all arrays of a tree together."""
    squares = [jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(jnp.sum(jnp.stack(squares)))
