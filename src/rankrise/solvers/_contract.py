"""What every solver offers to the loop."""

from abc import abstractmethod
from typing import Any, Generic, NamedTuple, TypeVar

import equinox as eqx
from jaxtyping import Array, Float

from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem

State = TypeVar("State")


class Step(NamedTuple):
    """One step of a solver.

    Attributes
    ----------
    model, state
        After the step.
    loss
        Before the step: the loss whose gradient was followed.
    duration
        How far the step moves on the clock of gradient flow (the learning rate);
        NaN where the rule has no such reading.
    """

    model: Any
    state: Any
    loss: Float[Array, ""]
    duration: Float[Array, ""]


class AbstractSolver(eqx.Module, Generic[State]):
    """A rule that improves a factorization step by step; `solve` owns the loop."""

    @abstractmethod
    def init(self, problem: AbstractProblem, model: AbstractFactorization) -> State:
        """The state before the first step. Its leaves are arrays."""

    @abstractmethod
    def step(
        self, problem: AbstractProblem, model: AbstractFactorization, state: State
    ) -> Step:
        """One step. Runs compiled, under `vmap` where there are several runs."""
